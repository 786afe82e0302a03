/* The arithmetic of choosing a token, for C++ and CUDA alike: one definition, so that a CPU and a GPU choose the same token from
 * the same logits. Plain additions, multiplications and divisions of IEEE doubles, in a stated order, never fused; no function of a
 * mathematical library, which every library rounds in its own way.
 *
 * How a token is drawn, given a weight for each: candidates are ranked by rankKey; weights are expOfNegative of the distance to the
 * best over the temperature; prefix sums of the weights are made by rounds, in round d = 1, 2, 4, ... adding to each element the
 * one d before it as it was at the beginning of the round. A candidate stays while the sum before it is at most topP of the whole;
 * the first whose sum is above draw times the sum of those that stay is the token, the last of them if none is.
 */
#ifndef SM1_KERNELS_SAMPLING_H
#define SM1_KERNELS_SAMPLING_H

#if defined(__CUDACC__)
#define SM1_ANYWHERE __host__ __device__ inline
#else
#define SM1_ANYWHERE inline
#endif

namespace sm1sampling {

using Key = unsigned long long;

/* Reads the bits of one type as another. */
template <typename To, typename From> SM1_ANYWHERE To bitsAs(From value) {
  static_assert(sizeof(To) == sizeof(From), "the same bits");
  union {
    From from;
    To to;
  } bits = {value};
  return bits.to;
}

/* Larger is better: the logit, then the smaller id. 0 stands for what may not be drawn; no logit has that key. */
SM1_ANYWHERE Key rankKey(float logit, int token) {
  unsigned bits = bitsAs<unsigned>(logit + 0.0f); // -0 becomes 0
  unsigned ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return Key(ordered) << 32 | (0xffffffffu - unsigned(token));
}

SM1_ANYWHERE float logitOf(Key key) {
  unsigned ordered = unsigned(key >> 32);
  return bitsAs<float>(ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered);
}

SM1_ANYWHERE int tokenOf(Key key) { return int(0xffffffffu - unsigned(key)); }

SM1_ANYWHERE bool isBarred(float logit) { return logit == -bitsAs<float>(0x7f800000u); }
/* NaN or plus infinity: no model that is whole gives them. */
SM1_ANYWHERE bool isDamaged(float logit) { return !(logit < bitsAs<float>(0x7f800000u)); }

/* e^x for x <= 0, within 1.5 units in the last place; 0 below -700. */
SM1_ANYWHERE double expOfNegative(double x) {
  if (!(x > -700))
    return 0;
  int exponent = int(x * 1.4426950408889634 - 0.5);
  // ln 2 in two parts: the first has zeros at its end, so that its product is exact.
  double r = (x - exponent * 0.693147180369123816490) - exponent * 1.90821492927058770002e-10;
  double sum = 1.0 / 6227020800.0; // Taylor up to r^13; |r| <= 0.35
  const double factorials[] = {479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2, 1, 1};
  for (int i = 0; i < 13; ++i)
    sum = sum * r + 1.0 / factorials[i];
  return sum * bitsAs<double>((unsigned long long)(exponent + 1023) << 52);
}

/* log(e^a + e^b); minus infinity is log(0). */
SM1_ANYWHERE float logOfSum(float a, float b) {
  float greater = a > b ? a : b, smaller = a > b ? b : a;
  if (isBarred(smaller) || isDamaged(greater) || isDamaged(smaller))
    return isDamaged(smaller) ? smaller : greater;
  // log(1 + x) = 2 artanh(x / (2 + x)); the argument is at most 1/3, and 1/3^35 is below half a unit in the last place.
  double x = expOfNegative(double(smaller) - greater), s = x / (2 + x), sum = 0;
  for (int power = 33; power >= 1; power -= 2)
    sum = sum * (s * s) + 1.0 / power;
  return float(greater + 2 * s * sum);
}

/* A logit made less likely: dividing a negative one would raise it. */
SM1_ANYWHERE float penalised(float logit, double penalty) { return float(logit > 0 ? logit / penalty : logit * penalty); }

/* How one token is chosen, as it lies in memory: this, then two bit sets of ceil(count / 32) words, penalised tokens and barred
 * ones. */
struct Choice {
  double temperature, topP, draw, penalty;
  int kept, dropped; // the first takes over the second's probability, which is then barred; -1: none
  int end;           // a token after which the sequence stops; -1: none
  int flags;
};
enum : int { greedy = 1, stops = 2, skipped = 4 }; // stops: whatever is chosen; skipped: nothing is chosen
/* Above these, where a kernel tells what it has chosen while it goes on: a number other than that of the choice before. */
enum : unsigned { numberShift = 8, mostNumber = 0xffffff };

/* What came out. */
struct Chosen {
  int token;   // of status damaged: the token whose value is one that no logit may have
  int status;  // 0: chosen
  float value; // likewise
  int unused;
};
enum : int { chosen = 0, damaged = 1, nothingLeft = 2 };

/* The same as a kernel tells it to the host: words that are there as a whole or not at all, each with the choice's number. */
struct Told {
  unsigned long long tokenAndStatus, value; // 32 bits each, 8 bits, number
};
SM1_ANYWHERE unsigned numberOf(unsigned long long word) { return unsigned(word) & mostNumber; }
SM1_ANYWHERE Told told(const Chosen &chosen, unsigned flags) {
  Key number = flags >> numberShift, status = Key(unsigned(chosen.status)) << 24;
  return {Key(unsigned(chosen.token)) << 32 | status | number, Key(bitsAs<unsigned>(chosen.value)) << 32 | number};
}
SM1_ANYWHERE Chosen heard(const Told &told) {
  int status = int(unsigned(told.tokenAndStatus) >> 24);
  return {int(told.tokenAndStatus >> 32), status, bitsAs<float>(unsigned(told.value >> 32)), 0};
}

SM1_ANYWHERE bool contains(const unsigned *set, long long token) { return set[token / 32] >> (token % 32) & 1; }

/* A token's logit with penalty and bars. */
SM1_ANYWHERE float weighedAlone(const Choice &choice, const float *logits, const unsigned *penalisedSet, const unsigned *barredSet,
                                long long token) {
  if (contains(barredSet, token))
    return -bitsAs<float>(0x7f800000u);
  return contains(penalisedSet, token) ? penalised(logits[token], choice.penalty) : logits[token];
}

/* The logit that a token enters with. Greedy choices take it as it is. */
SM1_ANYWHERE float weighed(const Choice &choice, const float *logits, const unsigned *penalisedSet, const unsigned *barredSet,
                           long long token) {
  if (choice.flags & greedy)
    return logits[token];
  if (token == choice.dropped)
    return -bitsAs<float>(0x7f800000u);
  float own = weighedAlone(choice, logits, penalisedSet, barredSet, token);
  return token == choice.kept ? logOfSum(own, weighedAlone(choice, logits, penalisedSet, barredSet, choice.dropped)) : own;
}

} // namespace sm1sampling

#endif // SM1_KERNELS_SAMPLING_H

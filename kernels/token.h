/* What the runtime and the kernel that computes whole tokens (token.cuh) must agree on: the same structs for C++ and CUDA.
 *
 * Addresses are the device's.
 */
#ifndef SM1_KERNELS_TOKEN_H
#define SM1_KERNELS_TOKEN_H

namespace sm1token {

enum : int {
  partitionsLimit = 8, /* different widths of what blocks share out */
  statesLimit = 8,
  phasesLimit = 16,
  slotBytes = 8192, /* of the ring of weights; smaller ones keep the producer too busy */
  lookahead = 4,    /* slots that come into the L2 cache before they are asked for */
  slotUses = 4096   /* more than any slot has */
};

#if defined(__CUDACC__)
#define SM1_TOKEN_BOTH __host__ __device__
#else
#define SM1_TOKEN_BOTH
#endif

/* Of a phase's rows, where a block has at most so many, those of 16 bits that lie two by two, as mma.sync takes them: tiles of 16
   with more than 8. */
SM1_TOKEN_BOTH constexpr int pairedRows(int bits, int most) {
  return bits != 16 || most <= 8 ? 0 : most > 64 ? (most + 15) / 16 * 16 : (most + 7) / 16 * 16;
}

/* 16 bytes that 32 columns of so many rows take: row by row weights of 16, 8 or 4 bits, and behind those of 4 an f16 for each row,
   what its 32 integers are multiplied with. A row that lacks its other one has room for it. */
SM1_TOKEN_BOTH constexpr int unitPieces(int bits, int rows, int most) {
  return bits == 4 ? rows + (rows + 7) / 8 : (rows < pairedRows(bits, most) ? (rows + 1) / 2 * 2 : rows) * bits / 4;
}

/* What blocks exchange lies in lines of 128 bytes that are so far apart: each part of the L2 cache, of which an H200 has 96, has
   half of the lines of 1 KB side by side, and all blocks ask for the same ones at the same time. Of eight sequences words fill so
   many lines that they had better be neighbours. */
enum : int { lineBytes = 128, lineDistance = 1024 };
SM1_TOKEN_BOTH constexpr int wordDistance(int sequences) {
  return sequences > 8 ? 2 * lineBytes : sequences > 4 ? lineBytes : lineDistance;
}

/* Channels of each sequence that one line, or with more than eight sequences two, has: 8 to 32. */
SM1_TOKEN_BOTH constexpr int lineChannels(int sequences) { return sequences > 8 ? 8 : sequences > 2 ? 64 / sequences : 32; }
/* Lines of one copy of the words, so many of each sequence; every phase has lines of its own. */
SM1_TOKEN_BOTH constexpr int wordLines(int words, int phases, int sequences) { return words / lineChannels(sequences) + phases; }

/* Lines of a sequence's logits, 16 words each, and behind them one with its choice. */
SM1_TOKEN_BOTH constexpr int keyLines(int vocabulary) { return (vocabulary + 15) / 16 + 1; }
/* Words of a sequence that say which logits are best, one for each warp of a block that has any; their lines, likewise. */
SM1_TOKEN_BOTH constexpr int bestWords(int blocks, int vocabulary, int sequences) {
  return blocks * (((vocabulary + blocks - 1) / blocks * sequences + 31) / 32);
}
SM1_TOKEN_BOTH constexpr int bestLines(int blocks, int vocabulary, int sequences) {
  return (bestWords(blocks, vocabulary, sequences) + 15) / 16;
}
/* Lines of Launch::keys: of all sequences the logits and choices, then so many copies of the best. */
SM1_TOKEN_BOTH constexpr int linesOfKeys(int blocks, int vocabulary, int sequences, int copies) {
  return sequences * (keyLines(vocabulary) + copies * bestLines(blocks, vocabulary, sequences));
}

/* What belongs to one block: of each partition the channels [first, first + count), and the weights that make them. */
struct Share {
  unsigned first[partitionsLimit], count[partitionsLimit];
  unsigned long long offset; /* of its weights in Launch::stream, a multiple of 128 */
  unsigned bytes;            /* of its weights: all that it reads for one token */
  unsigned uses; /* offset in Launch::uses of how often each of the slots that they fill is read from: by a warp in a phase */
};

/* What the host asks for while a token is computed: this, then for each sequence how its next token is to be chosen, as
   choiceRowBytes has it. It lies in memory of the host, and once more in the device's, where block 0 passes it on to the others. */
struct Order {
  unsigned number; /* the token's: the epoch behind its layers. Written after all the rest, read before it */
  unsigned then;   /* lastToken, goOn; to the other blocks also gaveUp */
  unsigned padding[2];
};
enum : unsigned {
  lastToken, /* the launch ends with the choice */
  goOn,      /* the chosen tokens are the next ones computed */
  gaveUp     /* the host's order did not come in time: nothing is chosen, the launch ends with its logits */
};

/* What the kernel replies, in memory of the host: this, then for each sequence a sm1sampling::Chosen. */
struct Reply {
  unsigned number; /* of the order; written after all the rest */
  unsigned padding[3];
};

/* One launch: a token for each sequence, or as many as the host orders. */
struct Launch {
  const Share *shares;         /* [blocks] */
  const unsigned char *stream; /* weights, block by block in the order of their use */
  const unsigned short *uses;  /* see Share */
  const void *table;           /* the embedding, [vocabulary][stride] */
  const float *vectors;        /* parameters of channels: [layers][rows][width up to a multiple of 16] each, one after the other */
  const unsigned *inverses;    /* for each four of these, as bf16 and what that lacks, what makes squares of words before a norm */
  unsigned short *exchange;    /* inputs of phases, as words that carry a tag */
  unsigned long long *keys;    /* logits, with their epoch; choices, two for each sequence; copies of the best logits */
  const unsigned long long *sequences;         /* [sequences] address of the states of each; 0: they are neither read nor written */
  const int *tokens;                           /* [sequences] to begin with */
  float *logits;                               /* [sequences][logitsStride] of the last token computed */
  const unsigned char *orders;                 /* [2] of Order with its choices, in turn; null: a single token, nothing is chosen */
  unsigned char *relay;                        /* as many, the device's */
  unsigned char *reply;                        /* a Reply with its results */
  unsigned long long patience;                 /* nanoseconds that an order may take */
  unsigned long long stateOffset[statesLimit]; /* bytes from the start of a sequence's states */
  long long logitsStride;
  unsigned epoch;                    /* of the first layer of the first token; a token takes layers + 1 */
  unsigned tags;                     /* of the words that come first, a bit for each sequence */
  int repeats;                       /* without orders: so many times the same tokens, one after the other */
  int sequenceCount;                 /* at most as many as the kernel was made for */
  unsigned pace;                     /* clocks at least from one slot that a block asks for to the next */
  unsigned short delay[phasesLimit]; /* of each phase: clocks that a warp lets pass before it looks for the words it needs */
};

/* One launch of the kernel that arranges weights: 16 bytes a thread. Columns that a norm has no weight for become zeros. */
struct Arrangement {
  const Share *shares;                /* [blocks] */
  const unsigned long long *matrices; /* [layers][matrices] addresses, layout "fragments"; those behind the layers once more */
  const unsigned long long *scales;   /* of matrices that are read as integers, likewise */
  unsigned char *stream;
  const float *vectors; /* as in Launch */
  unsigned *inverses;
  int vectorCount;
};

} // namespace sm1token

#endif /* SM1_KERNELS_TOKEN_H */

// The scan of SM1 by hand: `sm1c --emit=cuda` printed kernel 'scan', and this is what an afternoon made of it. The formulas became
// functions, and the walk over time was cut in groups: a thread takes four rows of a channel from h = 0 on, 16 threads then go from
// group to group, and everybody adds what came in before. A tile of 64 rows so costs a chain of 4 + 16 steps where the generated
// kernel has 64.
//
//   sm1c chorales -o chorales.sm1pkg --target=sm_90
//   sm1-run generate chorales.sm1pkg -o a.mid --device=cuda --replace=scan=kernels/examples/scan.cu
//
// Sums are made in another order than in a step, so the last bits differ from those of the generated kernel, which has one order
// for all; the comparison before the first use allows that. Works for every width: the grid has a block for every 16 channels.
#include "sm1_math.cuh"
using sm1::f32x4;

constexpr int threads = 256, tileChannels = 16, tileRows = 64, groupRows = 4, groups = tileRows / groupRows;
static_assert(threads == tileRows * tileChannels / 4 && threads == groups * tileChannels,
              "a thread has a part of a row, then a part of a channel");

__device__ f32x4 clamp(f32x4 x, float least, float most) { return sm1::minimum(sm1::maximum(x, least), most); }
__device__ f32x4 softplus(f32x4 x) { return sm1::maximum(x, 0.0f) + sm1::log1p(sm1::exp(-sm1::abs(x))); }
__device__ f32x4 silu(f32x4 x) { return x / (1.0f + sm1::exp(-x)); }

// sm1: threads=256 shared=0 row_split=1 panel_split=1
extern "C" __global__ void __launch_bounds__(threads)
    scan(const float *__restrict__ dt0, const float *__restrict__ dtBias, const float *__restrict__ B, const float *__restrict__ u,
         const float *__restrict__ aLog, const float *hBefore, const float *__restrict__ z, const float *__restrict__ D,
         const float *__restrict__ C, float *hAfter, float *__restrict__ out, const int32_t *rowSegment,
         const int32_t *segmentStart, const int32_t *selected, int64_t n, int64_t segments) {
  // Of each row: its decay, later the product of decays since its group began; its input, later h of its group alone.
  __shared__ __align__(16) float products[tileRows][tileChannels], sums[tileRows][tileChannels];
  __shared__ __align__(16) float entering[groups][tileChannels]; // h before each group
  const int stride = gridDim.y * tileChannels;
  const int64_t segment = blockIdx.x, start = segmentStart[segment], end = segmentStart[segment + 1];
  const int tileRow = threadIdx.x / 4, lane = threadIdx.x % 4 * 4;                          // a row's four channels
  const int group = threadIdx.x / tileChannels, channelInTile = threadIdx.x % tileChannels; // a channel's four rows
  const int64_t column = blockIdx.y * tileChannels + lane, channel = blockIdx.y * tileChannels + channelInTile;
  float h = hBefore[segment * stride + channel]; // of the 16 threads of group 0
  for (int64_t first = start; first < end; first += tileRows) {
    const bool isRow = first + tileRow < end;
    const int64_t at = (isRow ? first + tileRow : end - 1) * stride + column;
    const f32x4 dt = clamp(softplus(sm1::load(dt0 + at) + sm1::load(dtBias + column)), 1e-4f, 10.0f);
    const f32x4 decay = clamp(sm1::exp(dt * -sm1::exp(sm1::load(aLog + column))), 1e-6f, 0.999999f);
    const f32x4 ut = sm1::load(u + at);
    // Rows behind the end change nothing.
    sm1::store(&products[tileRow][lane], isRow ? decay : f32x4(1.0f));
    sm1::store(&sums[tileRow][lane], isRow ? sm1::load(B + at) * ut * dt : f32x4(0.0f));
    __syncthreads();

    float product = 1.0f, sum = 0.0f;
    for (int row = group * groupRows; row < (group + 1) * groupRows; ++row) {
      sum = fmaf(products[row][channelInTile], sum, sums[row][channelInTile]);
      product *= products[row][channelInTile];
      products[row][channelInTile] = product;
      sums[row][channelInTile] = sum;
    }
    __syncthreads();

    for (int next = 0; group == 0 && next < groups; ++next) {
      const int last = next * groupRows + groupRows - 1;
      entering[next][channelInTile] = h;
      h = fmaf(products[last][channelInTile], h, sums[last][channelInTile]);
    }
    __syncthreads();

    const f32x4 before = sm1::load(&entering[tileRow / groupRows][lane]);
    const f32x4 ht = sm1::fma(sm1::load(&products[tileRow][lane]), before, sm1::load(&sums[tileRow][lane]));
    if (isRow)
      sm1::store(out + at, (sm1::load(C + at) * ht + sm1::load(D + column) * ut) * silu(sm1::load(z + at)));
    __syncthreads();
  }
  if (group == 0)
    hAfter[segment * stride + channel] = h;
}

//===- TokenText.cpp - the CUDA C++ of a token, and what the plan says of it ---------------------------------------===//

#include "sm1c/Token.h"

#include "../Transforms/KernelMerge.h"
#include "PointwiseText.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace sm1;

/// Tokens are chosen in the kernel while their keys fit where sums and vectors were.
static constexpr int64_t mostChoices = 1024;

static int64_t upTo(int64_t size, int64_t multiple) { return (size + multiple - 1) / multiple * multiple; }

/// A copy of `param` for readers of another layout.
static ParamOp withLayout(ParamOp param, StringRef layout) {
  OpBuilder builder(param);
  auto copy = cast<ParamOp>(builder.clone(*param));
  copy.setLayout(layout);
  return copy;
}

static ParamOp paramOf(Value value) { return value.getDefiningOp<ParamOp>(); }

/// Offset of each phase's vector in the exchange: what the logits read is what the first phase reads.
static SmallVector<int64_t> wordOffsets(TokenProgram &program, int64_t &end) {
  SmallVector<int64_t> offsets;
  end = 0;
  for (unsigned index = 0; index < program.layerPhases(); ++index) {
    auto same =
        llvm::find_if(program.phases, [&](const TokenPhase &phase) { return phase.vector == program.phases[index].vector; });
    if (unsigned first = same - program.phases.begin(); first < index) {
      offsets.push_back(offsets[first]);
      continue;
    }
    offsets.push_back(end);
    end += upTo(program.phases[index].width, 8);
  }
  offsets.push_back(0);
  return offsets;
}

/// What a phase makes known, in the order of the description; the launch leaves roundings out.
static std::vector<Operation *> operationsOf(TokenProgram &program, unsigned index) {
  TokenPhase &phase = program.phases[index];
  std::vector<Operation *> operations;
  if (index == program.layerPhases()) {
    if (phase.norm)
      operations.push_back(phase.norm);
    operations.push_back(phase.linears.front());
    return operations;
  }
  for (Operation &op : program.layers.getBody().front().without_terminator())
    if (op.getNumResults() && !isRowInvariant(&op) && !isa<arith::ExtFOp, arith::TruncFOp>(op) &&
        program.rankOf(op.getResult(0)) == int(index))
      operations.push_back(&op);
  return operations;
}

static std::string joined(ArrayRef<int64_t> numbers) {
  std::string list;
  for (int64_t number : numbers)
    list += (list.empty() ? "" : ", ") + std::to_string(number);
  return list;
}

/// {first number, rows of channels, partition}
static std::string rowsText(int64_t first, int64_t rows, TokenProgram &program, int64_t width) {
  return llvm::formatv("        {{{0}, {1}, {2}},\n", first, rows,
                       llvm::find(program.partitions, width) - program.partitions.begin());
}

/// What belongs to channels: parameters in the order of their memory, states.
static std::string channelsText(TokenProgram &program, const TokenVectors &vectors) {
  std::string parameters, states;
  int64_t offset = 0;
  for (ParamOp param : vectors.list()) {
    int64_t width = cast<RankedTensorType>(param.getType()).getDimSize(0), rows = TokenVectors::rowsOf(param);
    parameters += rowsText(offset, rows, program, width);
    offset += rows * upTo(width, 16);
  }
  for (Value state : program.layers.getBody().getArguments().drop_front()) {
    auto type = cast<RankedTensorType>(state.getType());
    int64_t rows = type.getRank() > 2 ? type.getDimSize(2) : 1;
    states += rowsText(0, program.layers.getCount() * rows, program, type.getDimSize(1));
  }
  auto table = [](const char *name, size_t count, const std::string &rows) {
    return llvm::formatv("  static constexpr int {0}Count = {1};\n"
                         "  __host__ __device__ static constexpr sm1token::Rows {0}(int index) {{\n"
                         "    constexpr sm1token::Rows all[] = {{\n"
                         "        // offset, rows of all layers, partition\n"
                         "{2}    };\n"
                         "    return all[index];\n"
                         "  }\n",
                         name, count, rows.empty() ? "        {0, 0, 0},\n" : rows)
        .str();
  };
  return table("parameter", vectors.list().size(), parameters) +
         table("state", program.layers.getBody().getNumArguments() - 1, states);
}

/// struct Model: sizes.
static std::string modelText(TokenProgram &program, TokenVectors &vectors, int64_t &words) {
  SmallVector<int64_t> offsets = wordOffsets(program, words);
  auto table = cast<RankedTensorType>(program.embedding.getTable().getType());
  int64_t logits = channels(program.phases.back().linears.front().getType());
  std::string phases;
  for (auto [index, phase] : llvm::enumerate(program.phases))
    phases += llvm::formatv("        {{{0}, {1}, {2}, {3}, {4}},\n", phase.width, phase.linears.size(), phase.partition,
                            phase.norm ? vectors.offsetOf(paramOf(phase.norm.getWeight())) : -1, offsets[index]);
  const char *number = table.getElementType().isF32() ? "float" : table.getElementType().isBF16() ? "sm1::bf16" : "sm1::f16";
  return llvm::formatv(
      "struct Model {{\n"
      "  static constexpr int blocks = SM1_TOKEN_BLOCKS, sequences = SM1_TOKEN_SEQUENCES, replicas = SM1_TOKEN_REPLICAS;\n"
      "  static constexpr int sharedBytes = SM1_TOKEN_SHARED;\n"
      "  static constexpr int layers = {0}, layerPhases = {1}, phaseCount = {2}, partitionCount = {3}, warps = {4};\n"
      "  static constexpr int vocabulary = {5}, tableStride = {6}, exchangeWords = {7}, bits = {12};\n"
      "  static constexpr bool chooses = {8};\n"
      "  using TableNumber = {9};\n"
      "  __host__ __device__ static constexpr int partitionWidth(int partition) {{\n"
      "    constexpr int widths[] = {{{10}};\n"
      "    return widths[partition];\n"
      "  }\n"
      "  __host__ __device__ static constexpr sm1token::Phase phase(int index) {{\n"
      "    constexpr sm1token::Phase phases[] = {{\n"
      "        // width, matrices, partition, norm, words\n"
      "{11}    };\n"
      "    return phases[index];\n"
      "  }\n"
      "{13}};\n",
      program.layers.getCount(), program.layerPhases(), program.phases.size(), program.partitions.size(), program.warps, logits,
      upTo(table.getDimSize(1), 16), words, logits == table.getDimSize(0) && logits > 1 && logits <= mostChoices, number,
      joined(program.partitions), phases, program.bits, channelsText(program, vectors));
}

static std::string fileText(const std::string &model, const std::string &pointwise) {
  return "// One launch for whole tokens. kernels/token.cuh is the part that every model shares; operations of the description are "
         "named by\n"
         "// their lines. SM1_TOKEN_BLOCKS is the number of multiprocessors that take part, and SM1_TOKEN_SHARED the bytes each "
         "gives.\n"
         "#include \"token.cuh\"\n\nnamespace {\n\n" +
         model + "\nstruct Pointwise {\n  static __device__ void run(sm1token::Epilogue<Model> &k) {\n" + pointwise +
         "  }\n};\n\n} // namespace\n\n"
         "extern \"C\" __global__ void __launch_bounds__(sm1token::Sizes<Model>::threads, 1)\n"
         "    sm1_token(const __grid_constant__ sm1token::Launch launch) {\n"
         "  sm1token::runTokens<Model, Pointwise>(launch);\n}\n\n"
         "extern \"C\" __global__ void __launch_bounds__(256)\n"
         "    sm1_token_arrange(const __grid_constant__ sm1token::Arrangement arrangement) {\n"
         "  sm1token::arrange<Model>(arrangement);\n}\n";
}

std::unique_ptr<TokenKernel> sm1::makeTokenKernel(OwningOpRef<ModuleOp> module, StringRef file, StringRef source,
                                                  std::string &why) {
  auto program = findTokenProgram(*module->getOps<ModelOp>().begin(), why);
  if (!program)
    return nullptr;
  auto kernel = std::make_unique<TokenKernel>();
  SourceNames names(file, source);
  TokenVectors vectors;
  for (TokenPhase &phase : program->phases) // these come first
    if (phase.norm)
      vectors.offsetOf(paramOf(phase.norm.getWeight()));
  std::string pointwise = PointwiseText(*program, vectors, names).print();
  kernel->text = fileText(modelText(*program, vectors, kernel->words), pointwise);
  kernel->layers = program->layers.getCount();
  kernel->warps = program->warps;
  kernel->bits = program->bits;
  kernel->partitions.assign(program->partitions.begin(), program->partitions.end());
  kernel->table = withLayout(paramOf(program->embedding.getTable()), "rows");
  for (TokenPhase &phase : program->phases) {
    TokenKernel::Phase made{phase.width,
                            phase.partition,
                            {},
                            {},
                            operationsOf(*program, kernel->phases.size()),
                            stemOfWeight(phase.linears.front().getWeight()),
                            phase.vector};
    for (LinearOp linear : phase.linears)
      made.matrices.push_back(withLayout(paramOf(linear.getWeight()), "fragments"));
    for (ParamOp scales : phase.scales)
      made.scales.push_back(withLayout(scales, program->bits == 8 ? "channels" : "rows"));
    kernel->phases.push_back(std::move(made));
  }
  for (ParamOp param : vectors.list())
    kernel->vectors.push_back(withLayout(param, "channels"));
  for (Value operand : program->layers->getOperands().drop_front())
    kernel->states.push_back(program->model.argState(cast<BlockArgument>(operand).getArgNumber()).str());
  kernel->module = std::move(module);
  return kernel;
}

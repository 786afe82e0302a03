// Token lists in JSON.
#include "FuzzTarget.h"

#include "sm1rt/music/TokenFile.h"

using namespace sm1rt;
using sm1fuzz::require;

std::vector<std::string> sm1fuzz::seeds() {
  return {"[[1, 3, 158, 4, 20, 60, 117, 140], [1, 2]]", "[1, 3, 159, 2]", " [ [ 0 ] , [160,160,160] ]\n", "[[1],\n [2, 3],\n [4]]",
          "[[1, 2.5, -3, \"BOS\", null, true, {\"a\": []}]]"};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const TokenFileLimits limits{161, 64, 4096};
  auto lists = parseTokenLists({reinterpret_cast<const char *>(data), size}, "fuzz", limits);
  if (!lists) {
    require(!lists.error().message.empty(), "a refusal has a reason");
    return 0;
  }
  size_t tokens = 0;
  require(!lists->empty() && lists->size() <= limits.lists, "a file has lists, and not too many");
  for (const std::vector<int32_t> &list : *lists) {
    require(!list.empty(), "a list has tokens");
    tokens += list.size();
    for (int32_t token : list)
      require(token >= 0 && token < limits.vocabulary, "a token is of the vocabulary");
  }
  require(tokens <= limits.tokens, "not too many tokens");
  return 0;
}

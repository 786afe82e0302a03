// Finds the barriers, waits and memory accesses of a module.
#include "Plant.h"

#include <map>

namespace emulator {

/// The kind of bug a statement can carry; nullptr for none.
static const char *kindOf(const Statement &statement) {
  if (statement.kind != Statement::Instruction)
    return nullptr;
  const std::string &name = statement.name;
  if ((name == "bar" || name == "barrier") && statement.has("sync") && !statement.has("warp"))
    return "barrier";
  if (name == "cp" && statement.has("async") && (statement.has("wait_group") || statement.has("wait_all")))
    return "wait";
  if (name == "mbarrier" && (statement.has("try_wait") || statement.has("test_wait")))
    return "wait";
  if (name == "wgmma" && statement.has("wait_group"))
    return "wait";
  if (name == "barrier" && statement.has("cluster") && statement.has("wait"))
    return "wait";
  bool copies = name == "cp" && statement.has("async") && statement.operands.size() > 2;
  bool elsewhere = statement.has("param") || statement.has("param::entry") || statement.has("param::func") ||
                   statement.has("local") || statement.has("const");
  bool accesses = (name == "ld" || name == "ldu" || name == "st") && !elsewhere;
  return accesses || copies || name == "ldmatrix" ? "index" : nullptr;
}

/// Numbers of each kind begin with 0.
template <class Function, class Visit> static void forPlantable(Function &function, Visit visit) {
  std::map<std::string, unsigned> counts;
  for (auto &statement : function.body)
    if (const char *kind = kindOf(statement))
      visit(statement, kind, counts[kind]++);
}

bool isPlant(const std::string &plant) {
  size_t colon = plant.find(':'), last = plant.rfind(':');
  std::string kind = plant.substr(0, colon), number = plant.substr(last + 1);
  return (kind == "barrier" || kind == "wait" || kind == "index") && last > colon + 1 && !number.empty() &&
         number.find_first_not_of("0123456789") == std::string::npos;
}

void plantBug(Function &function, const std::string &plant) {
  if (plant.find(':' + function.name + ':') == std::string::npos)
    return;
  forPlantable(function, [&](Statement &statement, const char *kind, unsigned n) {
    statement.planted |= plant == std::string(kind) + ':' + function.name + ':' + std::to_string(n);
  });
}

std::string plantableBugs(const Syntax &syntax) {
  std::string result;
  for (const Function &function : syntax.functions)
    forPlantable(function, [&](const Statement &statement, const char *kind, unsigned n) {
      result += std::string(kind) + " " + std::to_string(n) + " " + function.name + " " + std::to_string(statement.line) + " " +
                squeezed(statement.text) + "\n";
    });
  return result;
}

} // namespace emulator

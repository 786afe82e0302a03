// Finds the barriers, waits and memory accesses of a module.
#include "Plant.h"

#include <cctype>
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

template <class Visit> static void forPlantable(Syntax &syntax, Visit visit) {
  std::map<std::string, unsigned> counts;
  for (Function &function : syntax.functions)
    for (Statement &statement : function.body)
      if (const char *kind = kindOf(statement))
        visit(function, statement, kind, counts[kind]++);
}

bool plantBug(Syntax &syntax, const std::string &plant) {
  if (plant.empty())
    return true;
  size_t colon = plant.find(':');
  std::string kind = plant.substr(0, colon), number = colon == std::string::npos ? "" : plant.substr(colon + 1);
  if ((kind != "barrier" && kind != "wait" && kind != "index") || number.empty() ||
      number.find_first_not_of("0123456789") != std::string::npos)
    return false;
  forPlantable(syntax, [&](Function &, Statement &statement, const char *found, unsigned n) {
    statement.planted |= kind == found && std::to_string(n) == number;
  });
  return true;
}

std::string plantableBugs(const Syntax &syntax) {
  std::string result;
  Syntax copy = syntax;
  forPlantable(copy, [&](Function &function, Statement &statement, const char *kind, unsigned n) {
    result += std::string(kind) + " " + std::to_string(n) + " " + function.name + " " + std::to_string(statement.line) + " " +
              squeezed(statement.text) + "\n";
  });
  return result;
}

} // namespace emulator

// Clones the module once for each function. What a part does not use is not even declared in it:
// its bitcode must not change when another function does.

#include "ModuleParts.h"
#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace mlir::llm;

/// Of the names of functions that only other parts call.
static constexpr llvm::StringRef kPartPrefix = "llmir_model.";

static bool isPrivateConstant(const llvm::GlobalValue &value) {
  const auto *variable = llvm::dyn_cast<llvm::GlobalVariable>(&value);
  return variable && variable->isConstant() && variable->hasLocalLinkage();
}

/// Adds the private constants that `value` refers to.
static void collectConstants(const llvm::Value *value,
                             llvm::SmallPtrSetImpl<const llvm::Value *> &seen) {
  const auto *constant = llvm::dyn_cast<llvm::Constant>(value);
  if (!constant || !seen.insert(constant).second)
    return;
  if (const auto *global = llvm::dyn_cast<llvm::GlobalValue>(constant);
      global && !isPrivateConstant(*global))
    return;
  for (const llvm::Use &operand : constant->operands())
    collectConstants(operand.get(), seen);
}

static llvm::SmallPtrSet<const llvm::Value *, 8> constantsOf(const llvm::Function &function) {
  llvm::SmallPtrSet<const llvm::Value *, 8> seen;
  for (const llvm::Instruction &instruction : llvm::instructions(function))
    for (const llvm::Use &operand : instruction.operands())
      collectConstants(operand.get(), seen);
  return seen;
}

static void removeUnusedDeclarations(llvm::Module &part) {
  for (llvm::Function &function : llvm::make_early_inc_range(part))
    if (function.isDeclaration() && function.use_empty())
      function.eraseFromParent();
  for (llvm::GlobalVariable &variable : llvm::make_early_inc_range(part.globals()))
    if (variable.isDeclaration() && variable.use_empty())
      variable.eraseFromParent();
}

std::vector<ModulePart> mlir::llm::splitByFunction(llvm::Module &module) {
  std::vector<llvm::Function *> functions;
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    functions.push_back(&function);
    if (!function.hasLocalLinkage())
      continue;
    function.setName(kPartPrefix + function.getName());
    function.setLinkage(llvm::GlobalValue::ExternalLinkage);
    function.setVisibility(llvm::GlobalValue::HiddenVisibility);
  }
  std::vector<ModulePart> parts;
  for (llvm::Function *function : functions) {
    auto constants = constantsOf(*function);
    llvm::ValueToValueMapTy map;
    std::unique_ptr<llvm::Module> part =
        llvm::CloneModule(module, map, [&](const llvm::GlobalValue *value) {
          if (llvm::isa<llvm::Function>(value))
            return value == function;
          return isPrivateConstant(*value) ? constants.contains(value)
                                           : function == functions.front();
        });
    removeUnusedDeclarations(*part);
    part->setModuleIdentifier("part");
    part->setSourceFileName("part");
    llvm::raw_svector_ostream stream(parts.emplace_back());
    llvm::WriteBitcodeToFile(*part, stream);
  }
  return parts;
}

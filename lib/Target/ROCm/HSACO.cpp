// AMD's GPUs: the ROCDL dialect, LLVM's AMDGPU code, and lld: see HSACO.h.

#include "llmir/Target/ROCm/HSACO.h"

#include "llmir/Target/GPU/ExternalTool.h"
#include "mlir/Conversion/GPUToROCDL/GPUToROCDLPass.h"
#include "mlir/Conversion/GPUToROCDL/Runtimes.h"
#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Target/LLVM/ROCDL/Target.h"
#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/TargetParser/TargetParser.h"

namespace mlir::llm {

static constexpr StringLiteral kTriple = "amdgcn-amd-amdhsa";
static constexpr StringLiteral kDefaultChip = "gfx942";

/// The folder in the form that MLIR expects of a toolkit: links to a linker and, where they are
/// found, to AMD's device libraries. Removed by the destructor.
class ToolkitFolder {
public:
  ToolkitFolder() = default;
  ToolkitFolder(const ToolkitFolder &) = delete;
  ToolkitFolder &operator=(const ToolkitFolder &) = delete;
  ~ToolkitFolder() {
    if (!root.empty())
      llvm::sys::fs::remove_directories(root);
  }

  ::llmir::Status create(const std::string &linker, const std::string &libraries) {
    namespace fs = llvm::sys::fs;
    std::error_code error = fs::createUniqueDirectory("llmir-rocm", root);
    if (!error)
      error = fs::create_directories(root + "/llvm/bin");
    if (!error)
      error = fs::create_link(linker, root + "/llvm/bin/ld.lld");
    if (!error && !libraries.empty())
      error = fs::create_link(libraries, root + "/amdgcn");
    if (error)
      return ::llmir::internalError("cannot create a folder for the linker: " + error.message());
    return ::llmir::Status::ok();
  }
  StringRef path() const { return root; }

private:
  llvm::SmallString<128> root;
};

/// lld of LLVM 22: older ones do not know the ABI version.
static ::llmir::StatusOr<std::string> findLinker() {
  ToolSearch search;
  search.files = {LLMIR_LLVM_TOOLS_DIR "/ld.lld"};
  search.namesOnPath = {"ld.lld-22"};
  search.variables = {{"ROCM_PATH", "llvm/bin/ld.lld"}};
  search.belowFolder = "llvm/bin/ld.lld";
  search.package = "LLVM 22 (package lld-22)";
  return findTool("ld.lld", search);
}

/// The folder that has bitcode/ocml.bc.
static ::llmir::StatusOr<std::string> findDeviceLibraries() {
  ToolSearch search;
  search.belowFolder = "amdgcn";
  search.package = "ROCm (package rocm-device-libs)";
  search.variables = {{"ROCM_PATH", "amdgcn"}};
  search.files = {"/opt/rocm/amdgcn", "/usr/lib/x86_64-linux-gnu/amdgcn"};
  return findTool("the device libraries", search);
}

/// A function of AMD's device libraries that the kernels call, or nothing.
static LLVM::LLVMFuncOp findLibraryFunction(gpu::GPUModuleOp kernels) {
  for (auto function : kernels.getOps<LLVM::LLVMFuncOp>())
    for (StringRef prefix : {"__ocml_", "__ockl_"})
      if (function.isExternal() && function.getName().starts_with(prefix))
        return function;
  return nullptr;
}

/// From gfx10 on subgroups have 32 threads, before 64. Workgroup memory is 64 KiB on all.
static GPUTarget targetOf(StringRef chip) {
  bool isWide = llvm::AMDGPU::getIsaVersion(chip).Major < 10;
  return GPUTarget{isWide ? 64 : 32, 64 * 1024};
}

FailureOr<DeviceCode> generateHSACO(ModuleOp module, StringRef chip) {
  if (failed(checkChip(module, kTriple, chip, kDefaultChip)))
    return failure();
  GPUTarget target = targetOf(chip);
  FailureOr<gpu::GPUModuleOp> kernels = prepareKernels(module, target);
  if (failed(kernels) ||
      failed(lowerKernels(*kernels, target.subgroupSize, [&](OpPassManager &manager) {
        ConvertGpuOpsToROCDLOpsOptions options;
        options.chipset = chip.str();
        options.runtime = gpu::amd::Runtime::HIP;
        manager.addPass(createConvertGpuOpsToROCDLOps(options));
      })))
    return failure();
  // What is wrong with the module is said before what is missing here.
  ::llmir::StatusOr<std::string> linker = findLinker();
  if (!linker)
    return emitError(module.getLoc()) << linker.status().message();
  ::llmir::StatusOr<std::string> libraries = findDeviceLibraries();
  if (LLVM::LLVMFuncOp function = findLibraryFunction(*kernels); function && !libraries)
    return emitError(function.getLoc())
           << libraries.status().message() << "; a kernel calls " << function.getName();
  ToolkitFolder toolkit;
  if (::llmir::Status status = toolkit.create(*linker, libraries ? *libraries : std::string());
      !status)
    return emitError(module.getLoc()) << status.message();

  StringRef features = target.subgroupSize == 64 ? "+wavefrontsize64" : "+wavefrontsize32";
  auto attribute =
      ROCDL::ROCDLTargetAttr::get(module.getContext(), /*optLevel=*/3, kTriple, chip, features);
  return serializeKernels(*kernels, attribute, gpu::CompilationTarget::Binary, toolkit.path());
}

void registerROCmTranslations() {
  gpuChipOption(kDefaultChip);
  gpuToolsOption();
  TranslateFromMLIRRegistration registration(
      "llmir-to-hsaco", "Generate a code object for an AMD GPU from kernels or llm ops",
      [](ModuleOp module, raw_ostream &output) -> LogicalResult {
        FailureOr<DeviceCode> code = generateHSACO(module, gpuChipOption(kDefaultChip));
        if (failed(code))
          return failure();
        output.write(code->data(), code->size());
        return success();
      },
      [](DialectRegistry &registry) {
        registerDeviceCodeDialects(registry);
        ROCDL::registerROCDLTargetInterfaceExternalModels(registry);
      });
}

} // namespace mlir::llm

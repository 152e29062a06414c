// Opens the library and finds its functions.

#include "NCCLLibrary.h"

#include <dlfcn.h>

#include <algorithm>
#include <string>
#include <vector>

namespace llmir {

namespace {

template <typename Function> Status find(void *library, const char *name, Function &function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function)
    return Status::ok();
  return failedPrecondition(std::string("expected the function ") + name +
                            " in the collectives library");
}

} // namespace

NCCLLibrary::NCCLLibrary() : functions_(std::make_unique<Functions>()) {}

NCCLLibrary::~NCCLLibrary() {
  if (handle_)
    dlclose(handle_);
}

Status NCCLLibrary::Functions::statusOf(NCCLResult result, const char *call) const {
  if (result == 0 || result == ncclInProgress)
    return Status::ok();
  const char *text = errorString(result);
  return internalError(std::string(call) + " failed with " + std::to_string(result) + ": " +
                       (text ? text : "no description"));
}

StatusOr<std::shared_ptr<NCCLLibrary>> NCCLLibrary::open(const std::string &path) {
  std::vector<std::string> names = {"libnccl.so.2", "libnccl.so", "librccl.so.1", "librccl.so"};
  if (!path.empty())
    names = {path};
  std::shared_ptr<NCCLLibrary> library(new NCCLLibrary);
  std::string reasons;
  for (const std::string &name : names) {
    library->handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library->handle_)
      break;
    const char *reason = dlerror();
    reasons += (reasons.empty() ? "" : "; ") + std::string(reason ? reason : name);
  }
  if (!library->handle_)
    return notFound("no NCCL or RCCL library: " + reasons);

  Functions &f = *library->functions_;
  void *handle = library->handle_;
  LLMIR_RETURN_IF_ERROR(find(handle, "ncclGetVersion", f.getVersion));
  LLMIR_RETURN_IF_ERROR(find(handle, "ncclGetUniqueId", f.getUniqueId));
  LLMIR_RETURN_IF_ERROR(find(handle, "ncclCommInitRank", f.initRank));
  LLMIR_RETURN_IF_ERROR(find(handle, "ncclCommDestroy", f.destroy));
  LLMIR_RETURN_IF_ERROR(find(handle, "ncclCommGetAsyncError", f.asyncError));
  LLMIR_RETURN_IF_ERROR(find(handle, "ncclGetErrorString", f.errorString));
  LLMIR_RETURN_IF_ERROR(find(handle, "ncclAllReduce", f.allReduce));
  LLMIR_RETURN_IF_ERROR(find(handle, "ncclReduceScatter", f.reduceScatter));
  LLMIR_RETURN_IF_ERROR(find(handle, "ncclAllGather", f.allGather));
  LLMIR_RETURN_IF_ERROR(find(handle, "ncclBroadcast", f.broadcast));
  LLMIR_RETURN_IF_ERROR(find(handle, "ncclSend", f.send));
  LLMIR_RETURN_IF_ERROR(find(handle, "ncclRecv", f.receive));
  LLMIR_RETURN_IF_ERROR(f.statusOf(f.getVersion(&library->version_), "ncclGetVersion"));
  return library;
}

StatusOr<NCCLGroupId> NCCLLibrary::newGroup() {
  NCCLUniqueId id = {};
  LLMIR_RETURN_IF_ERROR(functions_->statusOf(functions_->getUniqueId(&id), "ncclGetUniqueId"));
  NCCLGroupId group;
  std::copy(std::begin(id.bytes), std::end(id.bytes), group.begin());
  return group;
}

} // namespace llmir

# Finds LLVM and MLIR 22 and declares `llmir_mlir`, the interface target of every compiler library.

if(NOT MLIR_DIR AND NOT DEFINED ENV{MLIR_DIR} AND EXISTS /usr/lib/llvm-22/lib/cmake/mlir)
  set(MLIR_DIR /usr/lib/llvm-22/lib/cmake/mlir CACHE PATH "Folder of MLIRConfig.cmake")
endif()
find_package(MLIR REQUIRED CONFIG)
if(NOT LLVM_VERSION_MAJOR EQUAL 22)
  message(FATAL_ERROR "expected LLVM 22, but ${MLIR_DIR} belongs to LLVM ${LLVM_PACKAGE_VERSION}; "
    "set MLIR_DIR or build the runtime alone with -DLLMIR_ENABLE_COMPILER=OFF")
endif()
message(STATUS "MLIR ${LLVM_PACKAGE_VERSION} in ${MLIR_DIR}")

set(MLIR_BINARY_DIR ${CMAKE_BINARY_DIR})
set(LLVM_EXTERNAL_LIT ${LLVM_TOOLS_BINARY_DIR}/lit CACHE FILEPATH "The lit program")
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)

separate_arguments(LLMIR_LLVM_DEFINITIONS NATIVE_COMMAND "${LLVM_DEFINITIONS}")
add_library(llmir_mlir INTERFACE)
target_compile_definitions(llmir_mlir INTERFACE ${LLMIR_LLVM_DEFINITIONS})
target_include_directories(llmir_mlir SYSTEM INTERFACE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
target_include_directories(llmir_mlir INTERFACE
  ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/runtime/include)
target_include_directories(llmir_mlir SYSTEM INTERFACE ${CMAKE_BINARY_DIR}/include)
# The shared libraries: small tools and fast links. Never mixed with the static ones.
target_link_libraries(llmir_mlir INTERFACE MLIR LLVM)

# TableGen reads our own .td files too.
include_directories(SYSTEM ${MLIR_INCLUDE_DIRS})
include_directories(${CMAKE_SOURCE_DIR}/include)

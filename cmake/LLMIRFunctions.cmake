# Functions that declare this project's libraries, tools and unit tests, so that warnings,
# sanitizers and precompiled headers are set in one place.

add_library(llmir_options INTERFACE)
target_compile_options(llmir_options INTERFACE -Wall -Wextra)
if(LLMIR_WARNINGS_AS_ERRORS)
  target_compile_options(llmir_options INTERFACE -Werror)
endif()
if(LLMIR_ENABLE_FUZZERS)
  target_compile_options(llmir_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(llmir_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(LLMIR_SANITIZE)
  target_compile_options(llmir_options INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(llmir_options INTERFACE -fsanitize=address,undefined)
endif()
if(LLMIR_SANITIZE_THREADS)
  target_compile_options(llmir_options INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(llmir_options INTERFACE -fsanitize=thread)
endif()

# llmir_add_runtime_library(<name> SOURCES <file>... [LINK <target>...] [PRIVATE_LINK <target>...])
# A static library of the runtime: sees runtime/include, never LLVM.
function(llmir_add_runtime_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/runtime/include)
  target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE llmir_options ${ARG_PRIVATE_LINK})
endfunction()

# llmir_add_compiler_library(<name> SOURCES <file>... [LINK <target>...] [DEPENDS <target>...])
# A static library of the compiler: sees include/, the generated headers and MLIR's headers.
function(llmir_add_compiler_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC llmir_mlir ${ARG_LINK} PRIVATE llmir_options)
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  if(NOT name STREQUAL "LLMIRPrecompiled")
    target_precompile_headers(${name} REUSE_FROM LLMIRPrecompiled)
  endif()
endfunction()

# llmir_add_tool(<name> SOURCES <file>... LINK <target>...)
function(llmir_add_tool name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} llmir_options)
endfunction()

# llmir_add_unittest(<name> SOURCES <file>... LINK <target>...)
# A GoogleTest program in <build>/unittests; part of the target LLMIRUnitTests.
add_custom_target(LLMIRUnitTests)
function(llmir_add_unittest name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/unittests)
  target_link_libraries(${name} PRIVATE ${ARG_LINK} llmir_options GTest::gmock GTest::gtest_main)
  add_dependencies(LLMIRUnitTests ${name})
  add_test(NAME ${name} COMMAND ${name})
endfunction()

# llmir_add_example(<name> LINK <target>... [LAUNCHER <word>...])
# The program <name>.cpp in <build>/examples. The test `example-<name>` and the GoogleTest program
# LLMIRExampleTests run it without arguments, by LAUNCHER if given, in a folder of its own that is
# gone afterwards; it must print something and exit with 0. Call it from examples/CMakeLists.txt.
function(llmir_add_example name)
  cmake_parse_arguments(ARG "" "" "LINK;LAUNCHER" ${ARGN})
  add_executable(${name} ${name}.cpp)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/examples)
  target_link_libraries(${name} PRIVATE ${ARG_LINK} llmir_options)
  # The seed's lines, which examples repeat as they are, ignore what calls return (g++ and clang++
  # name that warning differently). Options of a source follow those of llmir_options.
  set_source_files_properties(${name}.cpp PROPERTIES
    COMPILE_OPTIONS "-Wno-unused-result;-Wno-unused-value")
  add_test(NAME example-${name} COMMAND ${ARG_LAUNCHER} $<TARGET_FILE:${name}>)
  string(JOIN " " command ${ARG_LAUNCHER} "'${CMAKE_BINARY_DIR}/examples/${name}'")
  set_property(GLOBAL APPEND PROPERTY LLMIR_EXAMPLES ${name})
  set_property(GLOBAL APPEND_STRING PROPERTY LLMIR_EXAMPLE_COMMANDS "${name} ${command}\n")
endfunction()

# llmir_add_benchmark(<name> LINK <target>...)
# The program <name>.cpp in <build>/benchmarks: prints ratios against a limit or a peer measured in
# the same run. Built with everything else, run by hand: no test asserts a time.
function(llmir_add_benchmark name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(${name} ${name}.cpp)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/benchmarks)
  target_link_libraries(${name} PRIVATE ${ARG_LINK} llmir_options)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/benchmarks)
endfunction()

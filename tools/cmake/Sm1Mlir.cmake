# LLVM and MLIR, through one target. `sm1_mlir` links the two shared libraries; nothing else in this project may name an LLVM* or
# MLIR* target. Those are static archives, and one of them on a link line puts a second copy of MLIR into the executable.
find_package(MLIR 22.1 REQUIRED CONFIG HINTS /usr/lib/llvm-22/lib/cmake/mlir)
list(APPEND CMAKE_MODULE_PATH "${MLIR_CMAKE_DIR}" "${LLVM_CMAKE_DIR}")
include(TableGen)
include(AddLLVM)
include(AddMLIR)
separate_arguments(SM1_LLVM_DEFINITIONS NATIVE_COMMAND "${LLVM_DEFINITIONS}")

add_library(sm1_mlir INTERFACE)
target_include_directories(sm1_mlir SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
target_compile_definitions(sm1_mlir INTERFACE ${SM1_LLVM_DEFINITIONS})
# Generated code names parameters that it does not use.
target_compile_options(sm1_mlir INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions> -Wno-unused-parameter)
target_link_libraries(sm1_mlir INTERFACE MLIR LLVM)

# mlir_tablegen sees the directory's include paths only, not those of a target.
include_directories(SYSTEM ${MLIR_INCLUDE_DIRS})

message(STATUS "LLVM ${LLVM_PACKAGE_VERSION} in ${LLVM_TOOLS_BINARY_DIR}")

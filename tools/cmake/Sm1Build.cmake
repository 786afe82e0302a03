# How every target of this project is compiled and linked. Settings that a caller has already made are left alone.
include(CheckLinkerFlag)
include(GNUInstallDirs)

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo" FORCE)
endif()

add_compile_options(-Wall -Wextra)

# Results must not depend on which host compiler fuses a multiply with an add: kernels say where they want it.
add_compile_options(-ffp-contract=off)

if(SM1_SANITIZE STREQUAL address OR SM1_SANITIZE STREQUAL fuzzer)
  set(sanitizers address,undefined)
elseif(SM1_SANITIZE STREQUAL thread)
  set(sanitizers thread)
elseif(SM1_SANITIZE)
  message(FATAL_ERROR "SM1_SANITIZE is '${SM1_SANITIZE}'; it can be address, thread, fuzzer, or empty")
endif()
if(SM1_SANITIZE)
  add_compile_options(-fsanitize=${sanitizers} -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${sanitizers})
endif()
if(SM1_SANITIZE STREQUAL fuzzer)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "SM1_SANITIZE=fuzzer needs clang; pass -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link) # coverage; a fuzzer's main is linked to fuzzers only
endif()

find_program(SM1_CCACHE ccache)
if(SM1_CCACHE)
  foreach(language C CXX)
    if(NOT CMAKE_${language}_COMPILER_LAUNCHER)
      set(CMAKE_${language}_COMPILER_LAUNCHER "${SM1_CCACHE}")
      # What ccache has to overlook to keep a unit with precompiled headers: macros of the time, which nothing here uses. Their hash is
      # kept: those of the compiler are 750 MB, and to read them for each unit takes a third as long as to compile it.
      if(SM1_PRECOMPILED_HEADERS)
        set(CMAKE_${language}_COMPILER_LAUNCHER "${CMAKE_COMMAND};-E;env;CCACHE_SLOPPINESS=pch_defines,time_macros;CCACHE_INODECACHE=true;${SM1_CCACHE}")
      endif()
    endif()
  endforeach()
endif()

# sm1_precompile(TARGET HEADERS...): headers of other projects, parsed once for all units of a target. No header of ours is among them, and
# every file includes what it uses: the other presets build without.
function(sm1_precompile target)
  if(SM1_PRECOMPILED_HEADERS)
    list(TRANSFORM ARGN REPLACE "(.+)" "<\\1>")
    target_precompile_headers(${target} PRIVATE ${ARGN})
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>) # for ccache
  endif()
endfunction()

# sm1_precompile_as(TARGET OTHER): what OTHER has parsed; both are compiled with the same options.
function(sm1_precompile_as target other)
  if(SM1_PRECOMPILED_HEADERS)
    target_precompile_headers(${target} REUSE_FROM ${other})
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
  endif()
endfunction()

# sm1_group(TARGET GROUPS): the files that the target has so far, compiled together in so many groups. A unit over MLIR's headers takes 1.7 s
# for templates that those ask for, whatever is in it, and as long again for those that its neighbours need, too. Files of one folder have
# like names in them (whyNot, build), and a file's group is the hash of its name: a new file moves no other. One that shares a name with
# others of its group says so by SKIP_UNITY_BUILD_INCLUSION. Files over the namespace llvm, whose Value is another, have groups of their own.
function(sm1_group target groups)
  if(NOT SM1_GROUPED_FILES)
    return()
  endif()
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources INCLUDE REGEX "\\.cpp$")
  foreach(source IN LISTS sources)
    get_filename_component(name "${source}" NAME)
    string(SHA1 hash "${name}")
    string(SUBSTRING ${hash} 0 4 hash)
    math(EXPR group "0x${hash} % ${groups}")
    file(STRINGS "${source}" llvm REGEX "^using namespace llvm;" LIMIT_COUNT 1)
    if(llvm)
      math(EXPR group "0x${hash} % 3")
      set(group "llvm${group}")
    endif()
    set_source_files_properties("${source}" PROPERTIES UNITY_GROUP ${group})
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
endfunction()

# The fastest linker that works; the check links a real program, so a broken installation is passed over.
foreach(linker mold lld)
  check_linker_flag(CXX "-fuse-ld=${linker}" SM1_LINKER_${linker})
  if(SM1_LINKER_${linker})
    add_link_options("-fuse-ld=${linker}")
    break()
  endif()
endforeach()

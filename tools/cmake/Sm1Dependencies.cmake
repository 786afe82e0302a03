# Libraries that the runtime, its tools and the tests use. The runtime itself takes fmt, nlohmann-json (headers), threads and libdl;
# PkgConfig::smf is for the music library, CLI11 for the tools, GoogleTest for the tests.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(smf REQUIRED IMPORTED_TARGET smf)

if(SM1_TESTS)
  find_package(GTest REQUIRED)

  # The tests compare with numpy. A python3 without it may come first in PATH, so ask each.
  find_program(SM1_ANY_PYTHON NAMES python3 REQUIRED)
  foreach(candidate "${SM1_ANY_PYTHON}" /usr/bin/python3)
    execute_process(COMMAND "${candidate}" -c "import numpy" RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
    if(result EQUAL 0)
      set(SM1_PYTHON "${candidate}" CACHE FILEPATH "python3 with numpy, for the tests")
      break()
    endif()
  endforeach()
  if(NOT SM1_PYTHON)
    message(FATAL_ERROR "no python3 has numpy; install python3-numpy, name one with -DSM1_PYTHON=FILE, or pass -DSM1_TESTS=OFF")
  endif()
endif()

# cmake -DVARIABLE=NAMESPACE::NAME -DFILES="A;B" -DOUTPUT=FILE.cpp -P embed-text.cmake: files that are made while building, one behind the
# other, as a string with a NUL byte at its end.
set(bytes "")
foreach(file IN LISTS FILES)
  file(READ "${file}" more HEX)
  string(APPEND bytes ${more})
endforeach()
string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
string(REGEX MATCH "(.*)::(.*)" parts ${VARIABLE})
file(WRITE "${OUTPUT}"
  "namespace ${CMAKE_MATCH_1} {\nextern const char ${CMAKE_MATCH_2}[];\nconst char ${CMAKE_MATCH_2}[] = {${bytes}0};\n}\n")

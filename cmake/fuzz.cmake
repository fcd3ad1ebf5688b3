# The fuzzers without libFuzzer: each replays its corpus as a test (tests/fuzz/README.md).
if(NOT BUILD_TESTING)
  return()
endif()
set(fuzz_library implementation)
if(TARGET implementation_src)
  set(fuzz_library implementation_src)
endif()
file(GLOB fuzz_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_*.c")
foreach(source IN LISTS fuzz_sources)
  get_filename_component(name "${source}" NAME_WE)
  add_executable(${name} "${source}" "${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c")
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/tests")
  target_compile_definitions(${name} PRIVATE
    AITER_TEST_HEADER="${PROJECT_SOURCE_DIR}/tests/header/linked.h"
    AITER_TEST_LINKED="${PROJECT_SOURCE_DIR}/src/spine.h")
  # They take parts of files, and leave functions of them unused.
  target_compile_options(${name} PRIVATE ${warnings} -Wno-unused-function)
  file(STRINGS "${source}" alone REGEX "src/plan/plan.c" LIMIT_COUNT 1)
  if(alone)
    target_link_libraries(${name} PRIVATE aiter_attn::aiter_attn)
  else()
    target_link_libraries(${name} PRIVATE ${fuzz_library})
  endif()
  add_dependencies(tests ${name})
  string(REPLACE "fuzz_" "" corpus ${name})
  add_test(NAME ${name}
    COMMAND ${name} "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${corpus}.pack")
endforeach()

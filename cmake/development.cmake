# Targets for people who work on the library: header, check, tests, bench, examples. A new test or
# benchmark file is found by its name; nothing here lists them.
include(CTest)

set(CMAKE_C_STANDARD 11)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()
option(AITER_ATTN_WARNINGS_AS_ERRORS "turn the tests' warnings into errors" OFF)

set(warnings -Wall -Wextra -Wpedantic)
if(AITER_ATTN_WARNINGS_AS_ERRORS)
  list(APPEND warnings -Werror)
endif()

# The header under test: the packed file that people copy, or src/spine.h, which it is packed from.
set(AITER_ATTN_TESTED "${PROJECT_SOURCE_DIR}/aiter_attn.h" CACHE FILEPATH "the header under test")

# ---- header, check ----
add_executable(amalgamate tools/amalgamate.c)
add_executable(tidy tools/tidy.c)
add_custom_target(header
  COMMAND aiter_attn_abi_hash kernels
  COMMAND amalgamate src spine.h aiter_attn.h
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" COMMENT "src/ -> aiter_attn.h" VERBATIM)
add_custom_target(check
  COMMAND aiter_attn_abi_hash --check kernels
  COMMAND amalgamate --check src spine.h aiter_attn.h
  COMMAND tidy "${PROJECT_SOURCE_DIR}"
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" COMMENT "header is current, house rules hold" VERBATIM)

# Development builds follow src/: the packed header is refreshed before anything includes it.
option(AITER_ATTN_REFRESH_HEADER "rebuild aiter_attn.h from src/ before the tests" OFF)

# The library, compiled once for all the programs below; with kernel sets for inside.h.
add_library(implementation STATIC EXCLUDE_FROM_ALL tests/header/linked.c)
target_compile_definitions(implementation PRIVATE AITER_TEST_LINKED="${AITER_ATTN_TESTED}")
target_compile_options(implementation PRIVATE ${warnings})
target_link_libraries(implementation PUBLIC aiter_attn::aiter_attn)
if(AITER_ATTN_REFRESH_HEADER)
  add_dependencies(implementation header)
endif()

# A program linked with the library. What it includes as AITER_TEST_HEADER says how much it compiles
# itself: declarations alone, or all but the kernels if it looks inside or has devices compiled in.
function(aiter_attn_program name source)
  file(STRINGS "${source}" inside REGEX "aiteri_|AITERI_|AITER_ATTN_HIP|device_(ops|run).h" LIMIT_COUNT 1)
  set(header linked.h)
  if(inside)
    set(header inside.h)
  endif()
  add_executable(${name} ${source})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/tests")
  target_compile_definitions(${name} PRIVATE AITER_TEST_LINKED="${AITER_ATTN_TESTED}"
    AITER_TEST_HEADER="${PROJECT_SOURCE_DIR}/tests/header/${header}")
  target_compile_options(${name} PRIVATE ${warnings})
  target_link_libraries(${name} PRIVATE implementation)
endfunction()

# ---- tests ----
if(BUILD_TESTING)
  add_custom_target(tests DEPENDS amalgamate tidy aiter_attn_abi_hash)
  set_target_properties(aiter_attn_abi_hash PROPERTIES EXCLUDE_FROM_ALL OFF) # a test runs it
  add_test(NAME header_is_current COMMAND amalgamate --check src spine.h aiter_attn.h
           WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  add_test(NAME abi_hash_is_current COMMAND aiter_attn_abi_hash --check kernels
           WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  add_test(NAME tidy COMMAND tidy "${PROJECT_SOURCE_DIR}")
  add_test(NAME tidy_self_test COMMAND tidy --self-test)

  # The longest start first: these take ten seconds and more, the last one most.
  set(long test_determinism test_short_forms test_flash_attn_fwd test_paged_attn_decode
      test_spec_shapes)
  file(GLOB test_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/test_*.c")
  foreach(source IN LISTS test_sources)
    get_filename_component(name "${source}" NAME_WE)
    aiter_attn_program(${name} "${source}")
    # The library is compiled as users do; its tests only need to be ready soon.
    target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
    add_dependencies(tests ${name})
    add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    list(FIND long ${name} cost)
    math(EXPR cost "${cost} + 1")
    set_tests_properties(${name} PROPERTIES FAIL_REGULAR_EXPRESSION "(^|\n)0 passed" TIMEOUT 900
                         COST ${cost})
  endforeach()
endif()

# ---- bench, examples ----
add_custom_target(bench)
file(GLOB bench_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bench/*.c")
foreach(source IN LISTS bench_sources)
  get_filename_component(name "${source}" NAME_WE)
  aiter_attn_program(${name} "${source}")
  set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL TRUE)
  add_dependencies(bench ${name})
endforeach()

add_custom_target(examples)
include(CheckLanguage)
check_language(CXX) # the library needs none; one example shows C++17
if(CMAKE_CXX_COMPILER)
  enable_language(CXX)
  set(CMAKE_CXX_STANDARD 17)
  set(cpp_pattern "${PROJECT_SOURCE_DIR}/examples/*.cpp")
endif()
include(cmake/emulator.cmake)
include(cmake/naive.cmake)
file(GLOB example_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.c" ${cpp_pattern})
foreach(source IN LISTS example_sources)
  get_filename_component(name "${source}" NAME_WE)
  add_executable(${name} "${source}")
  target_compile_options(${name} PRIVATE ${warnings})
  target_link_libraries(${name} PRIVATE aiter_attn::aiter_attn)
  add_dependencies(examples ${name})
  if(name MATCHES "^[0-9]") # these check themselves, and take the library that is compiled already
    target_compile_definitions(${name} PRIVATE AITER_ATTN_IMPLEMENTED)
    target_link_libraries(${name} PRIVATE implementation)
    if(BUILD_TESTING)
      add_test(NAME example_${name} COMMAND ${name})
    endif()
  else()
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL TRUE)
    if(AITER_ATTN_REFRESH_HEADER)
      add_dependencies(${name} header)
    endif()
  endif()
endforeach()

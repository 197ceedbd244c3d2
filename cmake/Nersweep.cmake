# Building blocks for the packages' CMakeLists.txt.

add_library(nersweep_flags INTERFACE)
target_include_directories(nersweep_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(nersweep_flags INTERFACE _GNU_SOURCE NERSWEEP_VERSION="${PROJECT_VERSION}")
target_compile_options(nersweep_flags INTERFACE
    -Wall -Wextra -Wshadow -Wvla -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wundef
    -fno-common -fno-math-errno -ffp-contract=off)
if(NERSWEEP_WERROR)
    target_compile_options(nersweep_flags INTERFACE -Werror)
endif()
if(NERSWEEP_SANITIZE)
    target_compile_options(nersweep_flags INTERFACE -fsanitize=${NERSWEEP_SANITIZE} -fno-omit-frame-pointer)
    if(NERSWEEP_SANITIZE MATCHES "undefined")
        target_compile_options(nersweep_flags INTERFACE -fno-sanitize-recover=undefined)
    endif()
    target_link_options(nersweep_flags INTERFACE -fsanitize=${NERSWEEP_SANITIZE})
endif()

# nersweep_package(core_base SOURCES a.c b.c [PACKAGES core_io ...] [LIBRARIES PkgConfig::LMDB ...])
# Static library nersweep_<name>. PACKAGES are other packages (public), LIBRARIES third-party ones (private to the package).
function(nersweep_package name)
    cmake_parse_arguments(ARG "" "" "SOURCES;PACKAGES;LIBRARIES" ${ARGN})
    add_library(nersweep_${name} STATIC ${ARG_SOURCES})
    list(TRANSFORM ARG_PACKAGES PREPEND nersweep_)
    target_link_libraries(nersweep_${name} PUBLIC nersweep_flags ${ARG_PACKAGES} PRIVATE ${ARG_LIBRARIES})
endfunction()

# What `ctest --preset tsan` runs, and nothing else.
add_custom_target(thread_tests)

# nersweep_test(core_base_status SOURCES status_test.c PACKAGES core_base LABELS unit [TIMEOUT 60] [ARGUMENTS ...])
# A cmocka program. Labels: unit, backend, mpi, e2e, slurm, gpu, peers, fuzz, slow. Exit code 77 is a skip (gpu and peers only).
function(nersweep_test name)
    cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;PACKAGES;LIBRARIES;LABELS;ARGUMENTS;ENVIRONMENT" ${ARGN})
    add_executable(test_${name} ${ARG_SOURCES})
    list(TRANSFORM ARG_PACKAGES PREPEND nersweep_)
    target_link_libraries(test_${name} PRIVATE nersweep_flags ${ARG_PACKAGES} ${ARG_LIBRARIES} PkgConfig::CMOCKA)
    target_compile_definitions(test_${name} PRIVATE NERSWEEP_SOURCE_DIR="${CMAKE_SOURCE_DIR}" NERSWEEP_BINARY_DIR="${CMAKE_BINARY_DIR}")
    set_target_properties(test_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND test_${name} ${ARG_ARGUMENTS})
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 120)
    endif()
    set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77)
    if("threads" IN_LIST ARG_LABELS)
        add_dependencies(thread_tests test_${name})
    endif()
    if(ARG_ENVIRONMENT)
        set_tests_properties(${name} PROPERTIES ENVIRONMENT "${ARG_ENVIRONMENT}")
    endif()
endfunction()

# nersweep_script_test(name COMMAND ... LABELS ... [TIMEOUT s] [ENVIRONMENT ...]): a test that is a script (sh or python3).
function(nersweep_script_test name)
    cmake_parse_arguments(ARG "" "TIMEOUT" "COMMAND;LABELS;ENVIRONMENT" ${ARGN})
    add_test(NAME ${name} COMMAND ${ARG_COMMAND})
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 120)
    endif()
    set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77
        ENVIRONMENT "NERSWEEP_SOURCE_DIR=${CMAKE_SOURCE_DIR};NERSWEEP_BINARY_DIR=${CMAKE_BINARY_DIR};${ARG_ENVIRONMENT}")
endfunction()

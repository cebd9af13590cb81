# Configures, builds and installs the example into an empty prefix, and looks at what is there.
#
#     cmake -DSOURCE=.. -DBINARY=.. -DARGUMENTS=.. -P check.cmake
cmake_minimum_required(VERSION 3.16)

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "${ARGN}: ${result}\n${output}")
    endif()
    set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE "${BINARY}")
set(prefix "${BINARY}/prefix")
# A prefix in the middle of the machine would be `/usr/local`; staged as package builds do it.
run(${CMAKE_COMMAND} -S "${SOURCE}" -B "${BINARY}/build" -DCMAKE_INSTALL_PREFIX=/opt/node -DCMAKE_INSTALL_LIBDIR=lib
    ${ARGUMENTS})
run(${CMAKE_COMMAND} --build "${BINARY}/build")
set(ENV{DESTDIR} "${prefix}")
run(${CMAKE_COMMAND} --install "${BINARY}/build")

file(GLOB_RECURSE found LIST_DIRECTORIES false RELATIVE "${prefix}/opt/node" "${prefix}/opt/node/*")
list(SORT found)
set(expected
    bin/flb-sentry
    fluent-bit/plugins/out_sentry.so
    include/out_sentry.h
    share/licenses/out_sentry/LICENSE)
foreach(file IN LISTS expected)
    if(NOT file IN_LIST found)
        message(FATAL_ERROR "expected ${file} below the prefix, found ${found}")
    endif()
endforeach()
list(FILTER found EXCLUDE REGEX "^share/licenses/out_sentry/")
list(FILTER expected EXCLUDE REGEX "^share/licenses/out_sentry/")
if(NOT found STREQUAL expected)
    message(FATAL_ERROR "expected ${expected}, found ${found}")
endif()

run("${BINARY}/build/plugin_name" "${prefix}/opt/node/fluent-bit/plugins/out_sentry.so")
if(NOT output STREQUAL "sentry\n")
    message(FATAL_ERROR "expected a plugin named sentry, found ${output}")
endif()
run("${prefix}/opt/node/bin/flb-sentry" --version)

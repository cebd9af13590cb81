# Finds the Fluent Bit output `sentry`, so that a CMake project can build and install it with its own packages.
#
#     list(APPEND CMAKE_MODULE_PATH <sources of the plugin>/cmake)
#     find_package(OutSentry REQUIRED)
#     out_sentry_install()
#
# Variables to set, all optional:
#     OUT_SENTRY_ROOT        the plugin's sources; the directory above this file if not set
#     OUT_SENTRY_PROFILE     profile of cargo: `release`, or `dev`
#     OUT_SENTRY_TARGET_DIR  where cargo builds; `out_sentry` in the build directory if not set
#     OUT_SENTRY_CARGO_FLAGS more arguments for cargo, such as `--offline`
#     OUT_SENTRY_LIBRARY     a plugin that is built already; cargo is not needed then
#     OUT_SENTRY_COMPANION   its companion, likewise; not installed if it is not set
#
# What it defines:
#     OutSentry::headers     include directory of out_sentry.h
#     OutSentry::plugin      the plugin (a MODULE: for generator expressions, not to be linked)
#     OutSentry::companion   the command `flb-sentry`, if there is one
#     out_sentry_build       target that builds both; part of ALL
#     OUT_SENTRY_LIBRARY, OUT_SENTRY_COMPANION, OUT_SENTRY_VERSION
#     out_sentry_install([PLUGIN_DIR <dir>])
#                            installs the plugin as <dir>/out_sentry.so (default: <libdir>/fluent-bit), the companion,
#                            the header and the licences, as component `out_sentry`
include_guard(GLOBAL)
include(FindPackageHandleStandardArgs)
include(GNUInstallDirs)

get_filename_component(above "${CMAKE_CURRENT_LIST_DIR}" DIRECTORY)
set(OUT_SENTRY_ROOT "${above}" CACHE PATH "Sources of the plugin")
set(OUT_SENTRY_PROFILE release CACHE STRING "Profile of cargo")
set(OUT_SENTRY_TARGET_DIR "${CMAKE_BINARY_DIR}/out_sentry" CACHE PATH "Where cargo builds")
set(OUT_SENTRY_CARGO_FLAGS "" CACHE STRING "More arguments for cargo")
set(OUT_SENTRY_LIBRARY "" CACHE FILEPATH "A plugin that is built already")
set(OUT_SENTRY_COMPANION "" CACHE FILEPATH "Its companion")
unset(above)

find_path(OUT_SENTRY_INCLUDE_DIR out_sentry.h PATHS "${OUT_SENTRY_ROOT}/include" NO_DEFAULT_PATH)
set(needed OUT_SENTRY_INCLUDE_DIR)
if(EXISTS "${OUT_SENTRY_ROOT}/Cargo.toml")
    file(STRINGS "${OUT_SENTRY_ROOT}/Cargo.toml" version_line REGEX "^version = " LIMIT_COUNT 1)
    string(REGEX REPLACE ".*\"(.*)\"" "\\1" OUT_SENTRY_VERSION "${version_line}")
endif()
if(NOT OUT_SENTRY_LIBRARY)
    find_program(OUT_SENTRY_CARGO cargo PATHS "$ENV{HOME}/.cargo/bin")
    list(APPEND needed OUT_SENTRY_CARGO)
endif()
find_package_handle_standard_args(OutSentry REQUIRED_VARS ${needed} VERSION_VAR OUT_SENTRY_VERSION)
if(NOT OutSentry_FOUND)
    return()
endif()

if(OUT_SENTRY_LIBRARY)
    if(NOT EXISTS "${OUT_SENTRY_LIBRARY}")
        message(FATAL_ERROR "OUT_SENTRY_LIBRARY = ${OUT_SENTRY_LIBRARY}: no such file")
    endif()
    add_custom_target(out_sentry_build)
else()
    # The directory of the profile `dev` is `debug`; all others are called as they are.
    string(REGEX REPLACE "^dev$" "debug" profile_dir "${OUT_SENTRY_PROFILE}")
    # Normal variables: a later run looks at cargo's products again.
    set(OUT_SENTRY_LIBRARY "${OUT_SENTRY_TARGET_DIR}/${profile_dir}/libout_sentry.so")
    set(OUT_SENTRY_COMPANION "${OUT_SENTRY_TARGET_DIR}/${profile_dir}/flb-sentry")
    separate_arguments(flags UNIX_COMMAND "${OUT_SENTRY_CARGO_FLAGS}")
    # Always asked: cargo knows best whether something changed.
    add_custom_target(out_sentry_build ALL
        COMMAND "${OUT_SENTRY_CARGO}" build --locked -p out_sentry -p flb-sentry --lib --bins --profile "${OUT_SENTRY_PROFILE}"
                --target-dir "${OUT_SENTRY_TARGET_DIR}" ${flags}
        WORKING_DIRECTORY "${OUT_SENTRY_ROOT}"
        BYPRODUCTS "${OUT_SENTRY_LIBRARY}" "${OUT_SENTRY_COMPANION}"
        USES_TERMINAL
        VERBATIM)
endif()

add_library(OutSentry::headers INTERFACE IMPORTED)
set_target_properties(OutSentry::headers PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${OUT_SENTRY_INCLUDE_DIR}")
add_library(OutSentry::plugin MODULE IMPORTED)
set_target_properties(OutSentry::plugin PROPERTIES IMPORTED_LOCATION "${OUT_SENTRY_LIBRARY}")
add_dependencies(OutSentry::plugin out_sentry_build)
if(OUT_SENTRY_COMPANION)
    add_executable(OutSentry::companion IMPORTED)
    set_target_properties(OutSentry::companion PROPERTIES IMPORTED_LOCATION "${OUT_SENTRY_COMPANION}")
    add_dependencies(OutSentry::companion out_sentry_build)
endif()

# A name that begins with `flb-` would make the host take the plugin for one of another kind: it is not to be chosen.
function(out_sentry_install)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "PLUGIN_DIR" "")
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "out_sentry_install: expected PLUGIN_DIR, found ${arg_UNPARSED_ARGUMENTS}")
    endif()
    if(NOT arg_PLUGIN_DIR)
        set(arg_PLUGIN_DIR "${CMAKE_INSTALL_LIBDIR}/fluent-bit")
    endif()
    install(PROGRAMS "${OUT_SENTRY_LIBRARY}" DESTINATION "${arg_PLUGIN_DIR}" RENAME out_sentry.so COMPONENT out_sentry)
    if(OUT_SENTRY_COMPANION)
        install(PROGRAMS "${OUT_SENTRY_COMPANION}" DESTINATION "${CMAKE_INSTALL_BINDIR}" RENAME flb-sentry
            COMPONENT out_sentry)
    endif()
    install(FILES "${OUT_SENTRY_INCLUDE_DIR}/out_sentry.h" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT out_sentry)
    file(GLOB licences "${OUT_SENTRY_ROOT}/LICENSE*" "${OUT_SENTRY_ROOT}/NOTICE*" "${OUT_SENTRY_ROOT}/THIRD*")
    install(FILES ${licences} DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/out_sentry" COMPONENT out_sentry)
endfunction()

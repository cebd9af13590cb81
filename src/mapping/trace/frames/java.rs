//! Decides `in_app` of Java frames. Follows `SentryStackTraceFactory.java`: the module is the class, and its prefix decides
//! `in_app`.
//!
//! The SDK has no list of its own beyond the prefixes that frameworks add, and lets Sentry decide
//! (`src/sentry/grouping/enhancer` of Sentry, `java.txt`). A library that is missing here is counted as the application.

use super::super::find::Find;
use super::super::text::starts_with_sorted;

/// Sorted. Classes of the platform, the languages, and the frameworks whose frames fill most traces.
pub(in super::super) const LIBRARIES: [&str; 46] = [
    "akka.",
    "android.",
    "androidx.",
    "cats.",
    "ch.qos.logback.",
    "clojure.",
    "com.amazonaws.",
    "com.android.",
    "com.fasterxml.",
    "com.google.",
    "com.mysql.",
    "com.oracle.",
    "com.sun.",
    "com.zaxxer.",
    "dalvik.",
    "feign.",
    "groovy.",
    "io.grpc.",
    "io.micrometer.",
    "io.micronaut.",
    "io.netty.",
    "io.quarkus.",
    "io.reactivex.",
    "io.undertow.",
    "io.vertx.",
    "jakarta.",
    "java.",
    "javax.",
    "jdk.",
    "kotlin.",
    "kotlinx.",
    "okhttp3.",
    "oracle.",
    "org.apache.",
    "org.eclipse.",
    "org.hibernate.",
    "org.jboss.",
    "org.postgresql.",
    "org.slf4j.",
    "org.springframework.",
    "play.",
    "reactor.",
    "scala.",
    "software.amazon.",
    "sun.",
    "zio.",
];

/// `in_app` of a class.
pub(in super::super) fn in_app(class: &str) -> bool {
    // Proxies: `$$EnhancerBySpringCGLIB$$`, `$$FastClassBySpringCGLIB$$`, `$$SpringCGLIB$$0`.
    let generated = class.starts_with("_COROUTINE") || class.holds("SpringCGLIB$$");
    !(generated || starts_with_sorted(class, &LIBRARIES))
}

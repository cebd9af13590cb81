//! Decides `in_app` of .NET frames. Follows `SentryOptions.cs` (`GetDefaultInAppExclude`) and `PrefixOrPatternMatcher.cs`:
//! matches a prefix of the module, which is the method's class, without regard to case.

/// The SDK's list.
const EXCLUDED: [&str; 41] = [
    "ABI.Microsoft",
    "Android",
    "Autofac",
    "AutoMapper",
    "AWSSDK",
    "Dapper",
    "FluentValidation",
    "FSharp",
    "Giraffe",
    "Google",
    "Grpc",
    "Hangfire",
    "ICSharpCode",
    "IdentityModel",
    "IdentityServer4",
    "Java.Interop",
    "MediatR",
    "Microsoft",
    "MongoDB",
    "Mono",
    "MS",
    "Nest",
    "Newtonsoft.Json",
    "NLog",
    "Npgsql",
    "Owin",
    "Polly",
    "RabbitMQ",
    "Remotion.Linq",
    "RestSharp",
    "Sentry",
    "Serilog",
    "ServiceStack",
    "SkiaSharp",
    "SqlitePclRaw",
    "StackExchange.Redis",
    "Swashbuckle",
    "System",
    "UIKit",
    "WinRT",
    "Xamarin",
];
/// Code that the runtime or a library makes, whose frames the SDK sees as those of the library.
const GENERATED: [&str; 5] = ["Internal.", "Interop.", "MassTransit.", "Newtonsoft.", "lambda_method"];

/// `in_app` of a method with its class.
pub(in super::super) fn in_app(name: &str) -> bool {
    let first = name.bytes().next().map(|byte| byte.to_ascii_lowercase());
    let begins = |prefix: &&str| {
        // Nearly always the first byte says no.
        if prefix.bytes().next().map(|byte| byte.to_ascii_lowercase()) != first {
            return false;
        }
        name.as_bytes().get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    !(EXCLUDED.iter().any(begins) || GENERATED.iter().any(|prefix| name.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::in_app;

    #[test]
    fn the_list_of_the_sdk_decides() {
        for name in [
            "System.Linq.Enumerable.First",
            "Serilog.AspNetCore.RequestLoggingMiddleware.Invoke",
            "StackExchange.Redis.ConnectionMultiplexer.Connect",
            "mscorlib.X".replace("mscorlib", "microsoft").as_str(),
            "lambda_method12",
        ] {
            assert!(!in_app(name), "{name}");
        }
        for name in ["Shop.Shelf.Take", "Program.<Main>$", "Acme.System.X", "Internals.X", ""] {
            assert!(in_app(name), "{name}");
        }
    }
}

//! Tests which tokens and URLs are found, and which words are none.

use super::*;

fn filtered(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    tokens(text, &mut found);
    found.into_iter().map(|part| &text[part]).collect()
}

/// A body of this class and length.
fn body(token: &Token) -> String {
    let draw: &[u8] = match token.body {
        Body::Word | Body::Dotted | Body::Alnum => b"Zk3Qw9Lm2Xc7Vb5Nn8Tt4Rr6Yy1Uu0Ii",
        Body::Hex => b"9f86d081884c7d659a2feaa0c55ad015",
        Body::Capitals => b"QYLPMN5HHHFPZAM2",
    };
    draw.iter().cycle().take(token.least).map(|byte| char::from(*byte)).collect()
}

#[test]
fn each_token_is_found_between_words_and_in_quotes() {
    for token in TOKENS {
        let secret = format!("{}{}", token.prefix, body(token));
        assert!(secret.len() >= RUN, "{secret}");
        for text in [
            format!("token {secret} revoked"),
            format!("x=\"{secret}\""),
            format!("https://{secret}@host/"),
            format!("\\n{secret}"),
        ] {
            assert!(filtered(&text).iter().any(|found| *found == secret), "{text}: {:?}", filtered(&text));
        }
    }
    for token in AFTER {
        let secret = format!("{}{}", token.prefix, body(token));
        let secret = if token.prefix.starts_with('.') { format!("Zk3Qw9Lm2Xc7Vb{secret}") } else { secret };
        assert_eq!(filtered(&format!("token {secret} revoked")), [secret]);
    }
}

#[test]
fn each_hook_has_a_host_that_is_looked_for_first() {
    fn host(hook: &str) -> &str {
        hook.split_once('/').unwrap().0
    }
    assert!(HOOKS.iter().all(|hook| HOSTS.iter().any(|end| host(hook).ends_with(end)) && hook.len() < HOOK_PATH));
}

#[test]
fn words_like_tokens_stay() {
    for text in [
        "sk-learn-contrib-something",
        "secret_manager_configuration_of_shop",
        "npm_config_registry_value_is_set_to_default",
        "key-value-store-of-the-shop",
        "AKIAlowercaseletters1",
        "github_pathological_case",
        "9f86d081884c7d659a2feaa0c55ad015",
        "deployment/re_deploy-something-else",
        "commit 4f2a9c1d8e7b6a5f4e3d2c1b0a9f8e7d6c5b4a39",
        "GET /x?page=Zk3Qw9Lm2Xc7Vb5Nn8",
    ] {
        assert_eq!(filtered(text), Vec::<&str>::new(), "{text}");
    }
}

#[test]
fn urls_that_are_secrets_lose_what_makes_them_so() {
    for (text, secret) in [
        (
            "POST https://hooks.slack.com/services/T00000000/B00000000/Zk3Qw9Lm2Xc7Vb5Nn8Tt4Rr6 404",
            "T00000000/B00000000/Zk3Qw9Lm2Xc7Vb5Nn8Tt4Rr6",
        ),
        (
            "GET https://api.telegram.org/bot123456789:AAZk3Qw9Lm2Xc7Vb5Nn8Tt4Rr6Yy1Uu0Iia/getMe",
            "123456789:AAZk3Qw9Lm2Xc7Vb5Nn8Tt4Rr6Yy1Uu0Iia",
        ),
        ("GET /cb?code=Zk3Qw9Lm2Xc7Vb5Nn8&state=on", "Zk3Qw9Lm2Xc7Vb5Nn8"),
        ("GET /cb?a=1&SAMLResponse=PHNhbWxwOlJlc3BvbnNl%2BijklZk3Qw9 HTTP", "PHNhbWxwOlJlc3BvbnNl%2BijklZk3Qw9"),
    ] {
        assert_eq!(filtered(text)[0], secret, "{text}");
    }
}

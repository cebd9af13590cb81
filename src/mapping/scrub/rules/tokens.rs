//! The forms of secrets that need no name: prefixes of tokens, webhooks, and flags of commands.

/// Characters that follow a token's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mapping::scrub) enum Body {
    /// Letters, digits, `_` and `-`.
    Word,
    /// The same with dots, `~`, `+`, `/` and `=`.
    Dotted,
    /// Hexadecimal digits of small letters.
    Hex,
    /// Capitals and digits.
    Capitals,
    /// Letters and digits.
    Alnum,
}

/// A token that is known by its beginning.
#[derive(Debug)]
pub(in crate::mapping::scrub) struct Token {
    pub prefix: &'static str,
    pub body: Body,
    /// Characters behind the prefix, at least and at most.
    pub least: usize,
    pub most: usize,
}

const ANY: usize = 1 << 14;

const fn token(prefix: &'static str, body: Body, least: usize) -> Token {
    Token { prefix, body, least, most: ANY }
}

const fn exact(prefix: &'static str, body: Body, least: usize, most: usize) -> Token {
    Token { prefix, body, least, most }
}

/// In the order of their first bytes. With its prefix each is at least [`RUN`](crate::mapping::scrub::prefilter::RUN) long.
pub(in crate::mapping::scrub) const TOKENS: &[Token] = &[
    exact("A3T", Body::Capitals, 17, 17),
    exact("ABIA", Body::Capitals, 16, 16),
    exact("ACCA", Body::Capitals, 16, 16),
    token("AGE-SECRET-KEY-1", Body::Capitals, 40),
    token("AIza", Body::Word, 30),
    token("AKCp", Body::Alnum, 60),
    exact("AKIA", Body::Capitals, 16, 16),
    exact("AKID", Body::Alnum, 32, 32),
    exact("ASIA", Body::Capitals, 16, 16),
    token("ATATT3", Body::Dotted, 40),
    token("ATBB", Body::Alnum, 24),
    token("ATCTT3", Body::Dotted, 40),
    exact("ATTA", Body::Hex, 60, 72),
    token("CCIPAT_", Body::Word, 20),
    token("CCIPRJ_", Body::Word, 20),
    token("CFPAT-", Body::Word, 40),
    token("EAAAE", Body::Word, 50),
    token("EAACEdEose0cBA", Body::Alnum, 10),
    exact("EZAK", Body::Alnum, 54, 54),
    exact("EZTK", Body::Alnum, 54, 54),
    token("FLWSECK_", Body::Word, 12),
    token("FLWSECK-", Body::Word, 12),
    token("GOCSPX-", Body::Word, 20),
    token("HRKU-", Body::Word, 30),
    exact("LTAI", Body::Alnum, 12, 26),
    token("NRAK-", Body::Capitals, 20),
    token("NRII-", Body::Word, 20),
    token("NRJS-", Body::Hex, 12),
    token("PMAK-", Body::Word, 24),
    exact("SK", Body::Hex, 32, 32),
    exact("aio_", Body::Alnum, 28, 28),
    token("api_org_", Body::Alnum, 30),
    token("bkat_", Body::Word, 20),
    token("bkua_", Body::Hex, 30),
    exact("dapi", Body::Hex, 32, 34),
    token("dckr_oat_", Body::Word, 20),
    token("dckr_pat_", Body::Word, 20),
    token("doo_v1_", Body::Hex, 32),
    token("dop_v1_", Body::Hex, 32),
    token("dor_v1_", Body::Hex, 32),
    token("duffel_live_", Body::Word, 20),
    token("duffel_test_", Body::Word, 20),
    token("figd_", Body::Word, 20),
    token("fio-u-", Body::Word, 40),
    token("fm1_", Body::Dotted, 40),
    token("fm2_", Body::Dotted, 40),
    token("fo1_", Body::Word, 40),
    token("gho_", Body::Alnum, 20),
    token("ghp_", Body::Alnum, 20),
    token("ghr_", Body::Alnum, 20),
    token("ghs_", Body::Alnum, 20),
    token("ghu_", Body::Alnum, 20),
    token("github_pat_", Body::Word, 20),
    token("glagent-", Body::Word, 20),
    token("glc_", Body::Dotted, 30),
    token("glcbt-", Body::Word, 16),
    token("gldt-", Body::Word, 16),
    token("glffct-", Body::Word, 16),
    token("glft-", Body::Word, 16),
    token("glimt-", Body::Word, 16),
    token("gloas-", Body::Word, 16),
    token("glpat-", Body::Dotted, 16),
    token("glptt-", Body::Word, 16),
    token("glrt-", Body::Dotted, 16),
    token("glrtr-", Body::Word, 16),
    token("glsa_", Body::Word, 30),
    token("glsoat-", Body::Word, 16),
    token("gsk_", Body::Alnum, 30),
    token("hcaik_", Body::Word, 30),
    token("hf_", Body::Alnum, 24),
    exact("key-", Body::Hex, 32, 32),
    token("lin_api_", Body::Alnum, 24),
    token("lin_oauth_", Body::Alnum, 24),
    token("lsv2_", Body::Word, 30),
    token("nfc_", Body::Alnum, 30),
    token("nfp_", Body::Alnum, 30),
    token("npm_", Body::Alnum, 30),
    token("ntn_", Body::Alnum, 36),
    exact("oy2", Body::Alnum, 43, 43),
    token("ops_eyJ", Body::Dotted, 40),
    token("pcsk_", Body::Word, 30),
    token("pnu_", Body::Alnum, 30),
    token("pplx-", Body::Alnum, 30),
    token("pscale_oauth_", Body::Dotted, 20),
    token("pscale_pw_", Body::Dotted, 20),
    token("pscale_tkn_", Body::Dotted, 20),
    token("pul-", Body::Hex, 40),
    token("pypi-", Body::Word, 30),
    exact("r8_", Body::Alnum, 37, 40),
    token("rdme_", Body::Alnum, 40),
    token("re_", Body::Word, 30),
    token("rk_live_", Body::Alnum, 10),
    token("rk_test_", Body::Alnum, 10),
    token("rubygems_", Body::Hex, 40),
    token("sbp_", Body::Hex, 40),
    token("sb_secret_", Body::Word, 20),
    token("secret_", Body::Alnum, 40),
    token("sgp_", Body::Word, 40),
    token("shippo_live_", Body::Hex, 30),
    token("shippo_test_", Body::Hex, 30),
    token("shpat_", Body::Hex, 30),
    token("shpca_", Body::Hex, 30),
    token("shppa_", Body::Hex, 30),
    token("shpss_", Body::Hex, 30),
    token("sk-", Body::Word, 20),
    token("sk_live_", Body::Alnum, 10),
    token("sk_test_", Body::Alnum, 10),
    token("sntryi_", Body::Dotted, 30),
    token("sntrys_", Body::Dotted, 30),
    token("sntryu_", Body::Dotted, 30),
    token("sq0atp-", Body::Word, 22),
    token("sq0csp-", Body::Word, 40),
    token("sqa_", Body::Hex, 40),
    token("sqp_", Body::Hex, 40),
    token("squ_", Body::Hex, 40),
    token("tfp_", Body::Dotted, 40),
    token("tk-us-", Body::Word, 40),
    token("tskey-", Body::Word, 20),
    token("vcp_", Body::Word, 24),
    token("waka_", Body::Word, 30),
    token("whsec_", Body::Dotted, 20),
    token("xai-", Body::Alnum, 40),
    token("xapp-", Body::Word, 20),
    token("xkeysib-", Body::Word, 40),
    token("xoxa-", Body::Word, 12),
    token("xoxb-", Body::Word, 12),
    token("xoxc-", Body::Word, 12),
    token("xoxd-", Body::Dotted, 12),
    token("xoxe-", Body::Word, 12),
    token("xoxo-", Body::Word, 12),
    token("xoxp-", Body::Word, 12),
    token("xoxr-", Body::Word, 12),
    token("xoxs-", Body::Word, 12),
];

/// Tokens the beginning of which ends with a dot or another sign: the prefix before the long part, and the length of that
/// part.
pub(in crate::mapping::scrub) const AFTER: &[Token] = &[
    token("SG.", Body::Dotted, 30),
    token("xoxe.", Body::Dotted, 20),
    token("ya29.", Body::Dotted, 20),
    token("hvs.", Body::Word, 20),
    token("hvb.", Body::Word, 20),
    token("hvr.", Body::Word, 20),
    exact("s.", Body::Alnum, 24, 24),
    token("dp.pt.", Body::Alnum, 30),
    token("dp.st.", Body::Dotted, 30),
    token("dp.ct.", Body::Alnum, 30),
    token("dp.sa.", Body::Alnum, 30),
    token("dp.scim.", Body::Alnum, 30),
    token("dt0c01.", Body::Dotted, 40),
    token("dt0s01.", Body::Dotted, 40),
    token(".atlasv1.", Body::Word, 40),
    token("sl.", Body::Word, 60),
    token("sk.eyJ", Body::Dotted, 40),
    token("sha256~", Body::Word, 40),
    token("7Q~", Body::Dotted, 30),
    token("8Q~", Body::Dotted, 30),
    token("pat.", Body::Dotted, 40),
    token("sat.", Body::Dotted, 40),
    token("v1.0-", Body::Word, 100),
];

/// URLs that are secrets: the part of the host and path by which they are known; everything after it is secret.
pub(in crate::mapping::scrub) const HOOKS: &[&str] = &[
    "hooks.slack.com/services/",
    "hooks.slack.com/workflows/",
    "hooks.slack.com/triggers/",
    "discord.com/api/webhooks/",
    "discordapp.com/api/webhooks/",
    ".webhook.office.com/webhookb2/",
    "outlook.office.com/webhook/",
    "outlook.office365.com/webhook/",
    "api.telegram.org/bot",
    "hooks.zapier.com/hooks/catch/",
    "maker.ifttt.com/trigger/",
    "hook.eu1.make.com/",
    "hook.us1.make.com/",
    "hook.integromat.com/",
    "oapi.dingtalk.com/robot/send?access_token=",
    "open.feishu.cn/open-apis/bot/v2/hook/",
    "qyapi.weixin.qq.com/cgi-bin/webhook/send?key=",
    "events.pagerduty.com/integration/",
    "alert.victorops.com/integrations/generic/",
];

/// A command with a flag for its password.
#[derive(Debug)]
pub(in crate::mapping::scrub) struct Command {
    pub name: &'static str,
    pub flags: &'static [&'static str],
    /// The form in which the password follows the flag.
    pub how: Flag,
}

/// The form in which a flag of a command has its password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mapping::scrub) enum Flag {
    /// Behind a blank.
    Apart,
    /// At once: `-pX`.
    Glued,
    /// Either way.
    Either,
    /// Behind the user's name and a colon.
    User,
}

pub(in crate::mapping::scrub) const COMMANDS: &[Command] = &[
    Command { name: "mysql", flags: &["-p"], how: Flag::Glued },
    Command { name: "mariadb", flags: &["-p"], how: Flag::Glued },
    Command { name: "7z", flags: &["-p"], how: Flag::Glued },
    Command { name: "redis-cli", flags: &["-a"], how: Flag::Either },
    Command { name: "sshpass", flags: &["-p"], how: Flag::Either },
    Command { name: " login", flags: &["-p"], how: Flag::Either },
    Command { name: "mongo", flags: &["-p"], how: Flag::Either },
    Command { name: "curl", flags: &["-u", "-U", "--user", "--proxy-user"], how: Flag::User },
    Command { name: "wget", flags: &["--user"], how: Flag::User },
    Command { name: "http", flags: &["-a", "--auth"], how: Flag::User },
    Command { name: "ldap", flags: &["-w"], how: Flag::Either },
    Command { name: "sqlcmd", flags: &["-P"], how: Flag::Either },
    Command { name: "bcp", flags: &["-P"], how: Flag::Either },
    Command { name: "isql", flags: &["-P"], how: Flag::Either },
    Command { name: "zip", flags: &["-P"], how: Flag::Apart },
    Command { name: "mosquitto_", flags: &["-P"], how: Flag::Apart },
    Command { name: "ipmitool", flags: &["-P"], how: Flag::Apart },
    Command { name: "az ", flags: &["-p"], how: Flag::Apart },
    Command { name: "rabbitmqadmin", flags: &["-p"], how: Flag::Apart },
    Command { name: "smbclient", flags: &["-U"], how: Flag::User },
    Command { name: "openssl", flags: &["-k", "-K"], how: Flag::Apart },
    Command { name: "cqlsh", flags: &["-p"], how: Flag::Apart },
    Command { name: "arangosh", flags: &["-p"], how: Flag::Apart },
];

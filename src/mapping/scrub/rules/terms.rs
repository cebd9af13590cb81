//! The words that make a key's name sensitive, and the kind of value that each announces.

/// The kind of value that a key's name announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mapping::scrub) enum Kind {
    /// A password: any value but a truth value or prose.
    Password,
    /// A token or key: a value that is no number, prose or path.
    Secret,
    /// A header's value: to the end of the line or of its quotes.
    Header,
    /// A word with other meanings: a value with letters and digits, or mixed case.
    Weak,
    /// A word with many other meanings: a value of at least 16 characters that looks random.
    Random,
    /// The same, and only in the query of a URL.
    Query,
    /// A member of a JSON Web Key: a value of 24 characters at least, and only as a field.
    KeyMember,
    /// A code of at least and at most so many digits or letters.
    Code(usize, usize),
    /// A card or account number.
    Card,
}

/// A word, or several without separators between them, that makes a key's name sensitive.
#[derive(Debug)]
pub(in crate::mapping::scrub) struct Term {
    pub word: &'static str,
    pub kind: Kind,
    /// True if the word may be the end of a longer one: `PGPASSWORD`, `csrftoken`.
    pub glued: bool,
}

const fn glued(word: &'static str, kind: Kind) -> Term {
    Term { word, kind, glued: true }
}

const fn apart(word: &'static str, kind: Kind) -> Term {
    Term { word, kind, glued: false }
}

/// Of two terms that end at the same place the first counts, so longer ones come first.
pub(in crate::mapping::scrub) const TERMS: &[Term] = &[
    glued("password", Kind::Password),
    glued("passwort", Kind::Password),
    glued("passwd", Kind::Password),
    glued("passphrase", Kind::Password),
    glued("passcode", Kind::Password),
    glued("motdepasse", Kind::Password),
    glued("pswd", Kind::Password),
    glued("pwd", Kind::Password),
    glued("pass", Kind::Password),
    apart("pw", Kind::Password),
    apart("psw", Kind::Password),
    glued("secret", Kind::Secret),
    glued("token", Kind::Secret),
    glued("credential", Kind::Secret),
    apart("creds", Kind::Weak),
    apart("cred", Kind::Weak),
    glued("apikey", Kind::Secret),
    glued("secretkey", Kind::Secret),
    glued("privatekey", Kind::Secret),
    glued("privkey", Kind::Secret),
    glued("accesskey", Kind::Secret),
    glued("masterkey", Kind::Secret),
    glued("signingkey", Kind::Secret),
    glued("signkey", Kind::Secret),
    glued("encryptionkey", Kind::Secret),
    glued("encryptkey", Kind::Secret),
    glued("cryptkey", Kind::Secret),
    glued("accountkey", Kind::Secret),
    glued("subscriptionkey", Kind::Secret),
    glued("storagekey", Kind::Secret),
    glued("sharedkey", Kind::Secret),
    glued("authkey", Kind::Secret),
    glued("hmackey", Kind::Secret),
    apart("clientkey", Kind::Secret),
    apart("sshkey", Kind::Secret),
    apart("appkey", Kind::Secret),
    apart("applicationkey", Kind::Secret),
    apart("licensekey", Kind::Secret),
    apart("deploykey", Kind::Secret),
    apart("adminkey", Kind::Secret),
    apart("servicekey", Kind::Secret),
    apart("servicerolekey", Kind::Secret),
    apart("integrationkey", Kind::Secret),
    apart("functionkey", Kind::Secret),
    apart("functionskey", Kind::Secret),
    apart("writekey", Kind::Secret),
    apart("readkey", Kind::Secret),
    apart("presharedkey", Kind::Secret),
    apart("psk", Kind::Weak),
    glued("jwt", Kind::Secret),
    glued("csrf", Kind::Secret),
    glued("xsrf", Kind::Secret),
    apart("pat", Kind::Weak),
    glued("authorization", Kind::Header),
    glued("authorisation", Kind::Header),
    glued("cookie", Kind::Header),
    apart("xauth", Kind::Header),
    glued("signature", Kind::Weak),
    apart("sig", Kind::Weak),
    glued("auth", Kind::Weak),
    apart("authentication", Kind::Weak),
    glued("sessionid", Kind::Random),
    glued("sessid", Kind::Random),
    apart("sessionkey", Kind::Secret),
    apart("session", Kind::Random),
    apart("sid", Kind::Random),
    apart("otp", Kind::Code(4, 10)),
    apart("totp", Kind::Code(4, 10)),
    apart("otpcode", Kind::Code(4, 10)),
    apart("cvv", Kind::Code(3, 4)),
    apart("cvv2", Kind::Code(3, 4)),
    apart("cvc", Kind::Code(3, 4)),
    apart("cvc2", Kind::Code(3, 4)),
    apart("csc", Kind::Code(3, 4)),
    apart("pin", Kind::Code(4, 12)),
    apart("pincode", Kind::Code(4, 12)),
    apart("ssn", Kind::Code(9, 11)),
    apart("iban", Kind::Code(15, 42)),
    apart("cardnumber", Kind::Card),
    apart("creditcard", Kind::Card),
    apart("ccnumber", Kind::Card),
    apart("card", Kind::Card),
    apart("pan", Kind::Card),
    apart("key", Kind::Query),
    apart("code", Kind::Query),
    apart("state", Kind::Query),
    apart("nonce", Kind::Query),
    apart("ticket", Kind::Query),
    apart("hmac", Kind::Query),
    apart("assertion", Kind::Query),
    apart("verifier", Kind::Query),
    apart("samlresponse", Kind::Query),
    apart("samlrequest", Kind::Query),
    apart("relaystate", Kind::Query),
    apart("d", Kind::KeyMember),
    apart("p", Kind::KeyMember),
    apart("q", Kind::KeyMember),
    apart("dp", Kind::KeyMember),
    apart("dq", Kind::KeyMember),
    apart("qi", Kind::KeyMember),
    apart("k", Kind::KeyMember),
];

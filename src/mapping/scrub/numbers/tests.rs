//! Tests of the numbers with check digits.

use super::*;

fn filtered(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    numbers(text, &mut found);
    found.into_iter().map(|part| &text[part]).collect()
}

#[test]
fn cards_are_found_in_each_grouping() {
    for card in [
        "4111-1111-1111-1111",
        "4111 1111 1111 1111",
        "4111.1111.1111.1111",
        "4111  1111  1111  1111",
        "4111_1111_1111_1111",
        "4111\u{a0}1111\u{a0}1111\u{a0}1111",
        "378282246310005",
        "3782 822463 10005",
        "6212345678901265",
        "30569309025904",
        "2223003122003222",
        "4222222222222",
    ] {
        assert_eq!(filtered(&format!("charge {card} declined")), [card]);
    }
    assert_eq!(filtered("card4111111111111111"), ["4111111111111111"]);
    assert_eq!(filtered("4111 1111 1111 1111 12/30"), ["4111 1111 1111 1111"]);
}

#[test]
fn numbers_that_count_or_name_stay() {
    for text in [
        "order 4111111111111112 not found",
        "elapsed 5105105105105100 ns",
        "seq=4111111111111111",
        "offset 4242424242424242",
        "request_id: 4111111111111111",
        "2026-11-30 09:00:00.123 5105",
        "x4111111111111111y",
        "4111111111111111 bytes",
        "1795161600000 1795161600000",
        "10.0.0.5 4242 4242",
    ] {
        assert_eq!(filtered(text), Vec::<&str>::new(), "{text}");
    }
}

#[test]
fn account_and_security_numbers_are_checked() {
    assert_eq!(filtered("to DE89 3704 0044 0532 0130 00 failed"), ["DE89 3704 0044 0532 0130 00"]);
    assert_eq!(filtered("to GB82WEST12345698765432."), ["GB82WEST12345698765432"]);
    assert_eq!(filtered("to NO9386011117947"), ["NO9386011117947"]);
    assert_eq!(filtered("to DE89 3704 0044 0532 0130 01"), Vec::<&str>::new());
    assert_eq!(filtered("ssn 078-05-1120 invalid"), ["078-05-1120"]);
    for text in
        ["000-05-1120", "666-05-1120", "900-05-1120", "078-00-1120", "078-05-0000", "1078-05-1120", "078-05-11201"]
    {
        assert_eq!(filtered(text), Vec::<&str>::new(), "{text}");
    }
}

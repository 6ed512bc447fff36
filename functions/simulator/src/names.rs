//! The names that stand for the stream's numbers: origins, brands, categories, countries and cookies.
//!
//! Each kind of name is different for different numbers. A few hold what clumsy servers trip over: spaces,
//! an ampersand, a plus, a percent sign, a quotation mark, letters beyond ASCII.

use crate::dice::{Dice, Purpose};

const MAKERS: [&str; 16] = [
    "Ebros", "Aster", "Bolero", "Corvo", "Dalia", "Emerald", "Fresco", "Grano", "Helio", "Iris", "Juno",
    "Kestrel", "Lumen", "Mosaic", "Nordic", "Opal",
];
const LINES: [&str; 16] = [
    "Gift", "Home", "Sport", "Kids", "Studio", "Outdoor", "Classic", "Basics", "Works", "Lab", "& Sons",
    "Club", "Craft", "Café", "50% Off", "A+B",
];
const CLOTHES: [&str; 17] = [
    "Trousers",
    "Shirts",
    "Jackets",
    "Coats",
    "Dresses",
    "Skirts",
    "Shoes",
    "Boots",
    "Hats",
    "Gloves",
    "Scarves",
    "Belts",
    "Socks",
    "Jewellery",
    "Żakiety",
    "Size \"M\"",
    "Bags",
];
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Letters in a cookie, as in the contract's example.
pub const COOKIE_LEN: usize = 20;

/// An origin's name, such as `CAMPAIGN_321`.
pub fn origin(number: u32) -> String {
    format!("CAMPAIGN_{number}")
}

/// A brand's name, such as `Ebros_Gift`.
pub fn brand(number: u32) -> String {
    let (maker, rest) = pick(&MAKERS, number);
    let (line, rest) = pick(&LINES, rest);
    if rest == 0 { format!("{maker}_{line}") } else { format!("{maker}_{line}_{rest}") }
}

/// A category's name, such as `Trousers`.
pub fn category(number: u32) -> String {
    let (clothes, rest) = pick(&CLOTHES, number);
    if rest == 0 { clothes.to_owned() } else { format!("{clothes}_{rest}") }
}

/// A country's name: two letters for the first 676.
pub fn country(number: u32) -> String {
    let letter = |number: u32| char::from(b'A' + u8::try_from(number % 26).expect("below 26"));
    let short: String = [letter(number), letter(number / 26)].iter().collect();
    if number < 676 { short } else { format!("{short}{}", number / 676) }
}

/// A device's name; the contract knows three.
pub fn device(number: u32) -> &'static str {
    ["PC", "MOBILE", "TV"][number as usize % 3]
}

/// Appends a cookie: 20 letters and digits. The first eleven hold 64 mixed bits of the number, so that two numbers
/// never share a cookie; the others are decoration.
pub fn push_cookie(text: &mut String, seed: u64, number: u32) {
    let mut dice = Dice::new(seed, Purpose::Cookie, u64::from(number));
    push_letters(text, dice.roll(), 11);
    push_letters(text, dice.roll(), COOKIE_LEN - 11);
}

fn push_letters(text: &mut String, mut word: u64, count: usize) {
    for _ in 0..count {
        text.push(char::from(LETTERS[(word % 62) as usize]));
        word /= 62;
    }
}

fn pick(list: &[&'static str], number: u32) -> (&'static str, u32) {
    let len = u32::try_from(list.len()).expect("lists of names are short");
    (list[(number % len) as usize], number / len)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn all_differ(name: impl Fn(u32) -> String, count: u32) {
        let names: HashSet<_> = (0..count).map(name).collect();
        assert_eq!(names.len(), count as usize);
    }

    #[test]
    fn no_two_numbers_share_a_name() {
        all_differ(origin, 2000);
        all_differ(brand, 2000);
        all_differ(category, 2000);
        all_differ(country, 2000);
        all_differ(
            |number| {
                let mut text = String::new();
                push_cookie(&mut text, 42, number);
                assert_eq!(text.len(), COOKIE_LEN);
                text
            },
            100_000,
        );
    }
}

//! Applies the user's choice of the frames that belong to the application: the options `in_app_include` and
//! `in_app_exclude`.

use crate::mapping::trace::Frame;

/// Prefixes of modules and paths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InApp<'t> {
    /// Frames that are the application's; checked first, as in Sentry's SDKs.
    pub include: &'t [String],
    /// Frames that are not.
    pub exclude: &'t [String],
}

impl InApp<'_> {
    /// `in_app` of a frame: by the lists, else as its reader decided.
    pub(crate) fn of(self, frame: &Frame<'_>) -> Option<bool> {
        let listed = |prefixes: &[String]| prefixes.iter().any(|prefix| is_below(prefix, frame));
        if listed(self.include) {
            return Some(true);
        }
        if listed(self.exclude) { Some(false) } else { frame.in_app }
    }
}

/// Returns true if the frame's module or path is `prefix` or lies below it. A frame without a module is known by its
/// function: Rust's symbols have their modules in them.
fn is_below(prefix: &str, frame: &Frame<'_>) -> bool {
    let name = frame.module.as_deref().or(frame.function.as_deref());
    [name, frame.abs_path.as_deref(), frame.filename.as_deref()].into_iter().flatten().any(|text| {
        let rest = text.strip_prefix(prefix);
        let ends_there = prefix.ends_with(['.', '/', '\\', ':']);
        rest.is_some_and(|rest| ends_there || rest.is_empty() || rest.starts_with(['.', '/', '\\', ':', '$', '+']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(module: Option<&'static str>, path: Option<&'static str>) -> Frame<'static> {
        let text = |text: Option<&'static str>| text.map(std::borrow::Cow::Borrowed);
        Frame { module: text(module), abs_path: text(path), in_app: Some(true), ..Frame::default() }
    }

    fn in_app(include: &[&str], exclude: &[&str], frame: &Frame<'_>) -> Option<bool> {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        InApp { include: &owned(include), exclude: &owned(exclude) }.of(frame)
    }

    #[test]
    fn a_prefix_ends_at_a_part_of_the_name() {
        for (module, path, expected) in [
            (Some("shop.orders"), None, false),
            (Some("shop.orders.views"), None, false),
            (Some("shop.orders_v2"), None, true),
            (Some("com.acme.Order$Line"), None, false),
            (Some("x"), Some("/app/vendor/x.py"), false),
            (None, Some("/app/vendors/x.py"), true),
        ] {
            let found = in_app(&[], &["shop.orders", "/app/vendor/", "com.acme.Order"], &frame(module, path));
            assert_eq!(found, Some(expected), "{module:?} {path:?}");
        }
    }

    #[test]
    fn include_is_stronger_than_exclude_and_than_the_language() {
        let library = Frame { in_app: Some(false), ..frame(Some("shop.core.x"), None) };
        assert_eq!(in_app(&["shop.core"], &["shop"], &library), Some(true));
        assert_eq!(in_app(&["shop.core"], &["shop"], &frame(Some("shop.web"), None)), Some(false));
        assert_eq!(in_app(&[], &[], &library), Some(false));
    }

    #[test]
    fn a_frame_without_a_module_is_known_by_its_function() {
        let symbol = Frame { function: Some("shop::pay::charge".into()), in_app: Some(true), ..Frame::default() };
        assert_eq!(in_app(&[], &["shop::pay"], &symbol), Some(false));
    }
}

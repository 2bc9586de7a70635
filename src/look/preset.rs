//! Stylesheets that come with floatup: `assets/motion/`, each a whole one.

/// A stylesheet by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// What `--css` takes: the name of its file, without the ending.
    pub name: &'static str,
    /// What it looks like, in a few words.
    pub about: &'static str,
    /// The stylesheet.
    pub css: &'static str,
}

macro_rules! presets {
    ($($name:literal: $about:literal,)*) => {
        /// Those that there are.
        pub const PRESETS: &[Preset] = &[$(Preset {
            name: $name,
            about: $about,
            css: include_str!(concat!("../../assets/motion/", $name, ".css")),
        }),*];
    };
}

presets! {
    "float-up-and-out": "rises, leans and fades: the tutorial's, and the default",
    "float-up-and-sideways": "rises in a sway and fades: the full example's",
    "fountain": "shoots up from the middle of the lower edge, and falls back",
    "rain": "falls from above in slanting rows",
    "burst": "flies apart from the middle of the picture",
    "bubbles": "rises slowly, wobbling, and pops",
}

/// The preset of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

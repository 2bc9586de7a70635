//! SVG.
//!
//! A file is refused for what is not drawn, rather than drawn without it: text (there are no
//! fonts), images inside it, animation, scripts, and whatever points out of the file. What is left
//! is bounded before it is unfolded ([`check`]), and before it is drawn ([`cost`]).

mod check;
mod cost;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::roxmltree::{Document, ParsingOptions};
use resvg::usvg::{Options, Tree};

use crate::artwork::{ArtworkError, words};

/// More elements and pieces of text than this are refused.
const NODES_MAX: u32 = 100_000;

/// More attributes than this in one tag are refused; a parser compares each with all before it.
const TAG_ATTRIBUTES_MAX: usize = 1_000;

/// A drawing that can be drawn at any size.
pub(super) struct Drawing(Tree);

/// The file as text, if it is SVG by the look of it.
pub(super) fn sniff(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let named = text.contains("<svg") || text.contains(":svg");
    (text.trim_start().starts_with('<') && named).then_some(text)
}

impl Drawing {
    pub(super) fn parse(text: &str) -> Result<Self, ArtworkError> {
        let damaged = |reason: String| ArtworkError::Damaged {
            format: "SVG",
            reason,
        };
        if text.contains("<!ENTITY") {
            return Err(ArtworkError::Svg {
                found: "an entity declaration".into(),
                advice: "save it as plain SVG",
            });
        }
        let attributes = |tag: &str| tag.bytes().filter(|&byte| byte == b'=').count();
        if text
            .split('<')
            .any(|tag| attributes(tag) > TAG_ATTRIBUTES_MAX)
        {
            return Err(ArtworkError::Complex("too many attributes"));
        }
        let options = ParsingOptions {
            allow_dtd: true,
            nodes_limit: NODES_MAX,
            ..ParsingOptions::default()
        };
        let document =
            Document::parse_with_options(text, options).map_err(|error| damaged(words(&error)))?;
        check::check(&document)?;
        let tree = Tree::from_xmltree(&document, &Options::default())
            .map_err(|error| damaged(words(&error)))?;
        if !tree.root().has_children() {
            return Err(damaged("it draws nothing".into()));
        }
        cost::check(&tree)?;
        Ok(Self(tree))
    }

    /// Width by height.
    pub(super) fn aspect(&self) -> f64 {
        let size = self.0.size();
        f64::from(size.width()) / f64::from(size.height())
    }

    /// The drawing over all of so many pixels.
    pub(super) fn draw(&self, width: u32, height: u32) -> Vec<[u8; 4]> {
        let Some(mut pixmap) = Pixmap::new(width, height) else {
            return Vec::new();
        };
        let size = self.0.size();
        #[expect(clippy::cast_precision_loss, reason = "sides are below 2^24")]
        let scale = |px: u32, of: f32| px as f32 / of;
        let scale = Transform::from_scale(scale(width, size.width()), scale(height, size.height()));
        resvg::render(&self.0, scale, &mut pixmap.as_mut());
        let pixels = pixmap.data().as_chunks().0.iter().copied();
        pixels.map(premultiplied).collect()
    }
}

/// Colour is at most alpha: blending rounds, and may be a level above.
fn premultiplied([r, g, b, a]: [u8; 4]) -> [u8; 4] {
    [r.min(a), g.min(a), b.min(a), a]
}

#[cfg(test)]
mod tests {
    use crate::artwork::tests;

    /// Half of what a worker thread has.
    const STACK_BYTES: usize = 1 << 20;

    fn on_a_small_stack(test: fn()) {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        thread.spawn(test).unwrap().join().unwrap();
    }

    #[test]
    fn bombs_are_refused() {
        on_a_small_stack(tests::svg_bombs_are_refused);
    }

    #[test]
    fn what_is_at_the_limit_of_depth_is_drawn() {
        on_a_small_stack(tests::svg_at_the_limit_of_depth_is_drawn);
    }
}

//! What an SVG document may have in it, and how far it may unfold.
//!
//! The library that unfolds it (`use`, `clip-path`, `mask`, `filter`) does so recursively, and
//! knows only some of the ways in which references go round. So all references are followed here
//! first, once each, with the document's style sheets applied.

use std::collections::HashMap;

use resvg::usvg::roxmltree::{Document, Node};
use simplecss::{AttributeOperator, DeclarationTokenizer, PseudoClass, StyleSheet};

use crate::artwork::{ArtworkError, words};

/// Elements within elements, references followed; more is refused.
const DEPTH_MAX: usize = 100;

/// Elements, attributes and declarations, references followed; more is refused.
const UNFOLDED_MAX: u64 = 300_000;

/// Bytes of attributes, references followed; more is refused.
const UNFOLDED_BYTES_MAX: u64 = 16 << 20;

/// A style sheet is read as selectors times declarations; more is refused.
const SHEET_MAX: usize = 1_000_000;

/// Rules times elements; more is refused.
const MATCHES_MAX: usize = 20_000_000;

const SVG: &str = "http://www.w3.org/2000/svg";
const XLINK: &str = "http://www.w3.org/1999/xlink";
const XHTML: &str = "http://www.w3.org/1999/xhtml";

/// What is drawn, or says how.
const DRAWN: [&str; 36] = [
    "svg",
    "g",
    "defs",
    "symbol",
    "use",
    "path",
    "rect",
    "circle",
    "ellipse",
    "line",
    "polyline",
    "polygon",
    "linearGradient",
    "radialGradient",
    "stop",
    "clipPath",
    "mask",
    "style",
    "title",
    "desc",
    "metadata",
    "filter",
    "feBlend",
    "feColorMatrix",
    "feComponentTransfer",
    "feFuncA",
    "feFuncB",
    "feFuncG",
    "feFuncR",
    "feComposite",
    "feDropShadow",
    "feFlood",
    "feGaussianBlur",
    "feMerge",
    "feMergeNode",
    "feOffset",
];

/// Properties that refer to elements with content of their own.
const REFERRING: [&str; 3] = ["clip-path", "mask", "filter"];

const USE_ANIMATED: &str = "use an animated GIF, APNG or WebP image instead";

/// Refuses what is not drawn, and what would unfold too far.
pub(super) fn check(document: &Document<'_>) -> Result<(), ArtworkError> {
    for node in document.descendants() {
        check_node(node)?;
    }
    let root = document.root_element();
    if root.tag_name().namespace() != Some(SVG) || root.tag_name().name() != "svg" {
        return refuse(
            "a root that is no <svg> of its namespace".into(),
            "expected <svg xmlns=\"http://www.w3.org/2000/svg\">",
        );
    }
    let length = |name| {
        let value: Option<&str> = root.attribute(name);
        value.is_some_and(|value| !value.contains('%'))
    };
    if root.attribute("viewBox").is_none() && !(length("width") && length("height")) {
        return refuse(
            "no size".into(),
            "expected a viewBox, or a width and a height",
        );
    }
    References::new(document)?.follow(root, 0)?;
    Ok(())
}

fn refuse<T>(found: String, advice: &'static str) -> Result<T, ArtworkError> {
    Err(ArtworkError::Svg { found, advice })
}

fn check_node(node: Node<'_, '_>) -> Result<(), ArtworkError> {
    if node.pi().is_some_and(|pi| pi.target == "xml-stylesheet") {
        return refuse("a style sheet elsewhere".into(), "put it into the file");
    }
    if !node.is_element() {
        return Ok(());
    }
    let name = node.tag_name().name();
    match node.tag_name().namespace() {
        None | Some(SVG) => check_name(name)?,
        Some(XHTML) => return refuse("HTML in it".into(), "remove it"),
        // An editor's own notes.
        Some(_) => {}
    }
    for attribute in node.attributes() {
        let start = attribute.name().get(..2).unwrap_or_default();
        if attribute.namespace().is_none() && start.eq_ignore_ascii_case("on") {
            let found = format!("a script ({})", words(&attribute.name()));
            return refuse(found, "remove it");
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), ArtworkError> {
    if DRAWN.contains(&name) {
        return Ok(());
    }
    let element = format!("<{}>", words(&name));
    match name {
        "text" | "tspan" | "tref" | "textPath" | "altGlyph" => refuse(
            format!("text ({element})"),
            "there are no fonts to draw it with, so convert it to paths",
        ),
        "image" | "feImage" => refuse(
            format!("an image in it ({element})"),
            "only shapes are drawn; use a PNG or WebP image instead",
        ),
        "animate" | "animateColor" | "animateMotion" | "animateTransform" | "set" => {
            refuse(format!("animation ({element})"), USE_ANIMATED)
        }
        "script" | "a" => refuse(format!("a script or a link ({element})"), "remove it"),
        _ => refuse(
            format!("{element} in it"),
            "which is not drawn; remove it, or use a PNG or WebP image instead",
        ),
    }
}

/// Follows each element's references.
struct References<'a, 'input> {
    by_id: HashMap<&'a str, Vec<Node<'a, 'input>>>,
    sheet: StyleSheet<'a>,
    /// By node.
    followed: Vec<Followed>,
}

#[derive(Clone, Copy)]
enum Followed {
    Never,
    Now,
    To(Unfolded),
}

/// How far an element unfolds.
#[derive(Clone, Copy)]
struct Unfolded {
    height: usize,
    count: u64,
    bytes: u64,
}

impl<'a, 'input: 'a> References<'a, 'input> {
    fn new(document: &'a Document<'input>) -> Result<Self, ArtworkError> {
        let mut by_id: HashMap<_, Vec<_>> = HashMap::new();
        let mut sheet = StyleSheet::new();
        let (mut selectors, mut declarations) = (1, 1);
        let mut nodes = 0;
        for node in document.descendants() {
            nodes += 1;
            if let Some(id) = node.attribute("id") {
                by_id.entry(id).or_default().push(node);
            }
            if node.has_tag_name("style") {
                let text = node.text().unwrap_or_default();
                if text.contains("@keyframes") {
                    return refuse("animation (@keyframes)".into(), USE_ANIMATED);
                }
                selectors += 1 + text.matches(',').count();
                declarations += 1 + text.matches(';').count();
                if selectors * declarations > SHEET_MAX {
                    return Err(ArtworkError::Complex("too large a style sheet"));
                }
                local_urls(text)?;
                sheet.parse_more(text);
            }
        }
        if sheet.rules.len().saturating_mul(nodes) > MATCHES_MAX {
            return Err(ArtworkError::Complex("too many style rules"));
        }
        // Combinators are matched by trying every way up the tree.
        for rule in &sheet.rules {
            let selector = rule.selector.to_string();
            if selector.contains([' ', '>', '+']) {
                let found = format!("the style rule \"{}\"", words(&selector));
                return refuse(
                    found,
                    "expected selectors of one element each, such as .name",
                );
            }
        }
        Ok(Self {
            by_id,
            sheet,
            followed: vec![Followed::Never; nodes],
        })
    }

    /// Follows an element's children and references, from `depth` levels down.
    fn follow(&mut self, node: Node<'a, 'input>, depth: usize) -> Result<Unfolded, ArtworkError> {
        let deep = Err(ArtworkError::Complex("nested too deep"));
        if depth > DEPTH_MAX {
            return deep;
        }
        let slot = node.id().get_usize();
        match self.followed[slot] {
            Followed::Never => {}
            Followed::Now => {
                return Err(ArtworkError::Complex(
                    "references that go round in a circle",
                ));
            }
            Followed::To(unfolded) if depth + unfolded.height > DEPTH_MAX => return deep,
            Followed::To(unfolded) => return Ok(unfolded),
        }
        self.followed[slot] = Followed::Now;
        let (referred, declarations) = self.referred(node)?;
        let attributes = node.attributes();
        let mut unfolded = Unfolded {
            height: 0,
            count: 1 + (attributes.len() + declarations) as u64,
            bytes: attributes.map(|a| a.value().len() as u64).sum(),
        };
        let drawn = |child: &Node<'_, '_>| {
            child.is_element() && matches!(child.tag_name().namespace(), None | Some(SVG))
        };
        for next in node.children().filter(drawn).chain(referred) {
            let next = self.follow(next, depth + 1)?;
            unfolded.height = unfolded.height.max(1 + next.height);
            unfolded.count = unfolded.count.saturating_add(next.count);
            unfolded.bytes = unfolded.bytes.saturating_add(next.bytes);
        }
        if unfolded.count > UNFOLDED_MAX || unfolded.bytes > UNFOLDED_BYTES_MAX {
            return Err(ArtworkError::Complex("too many elements"));
        }
        self.followed[slot] = Followed::To(unfolded);
        Ok(unfolded)
    }

    /// What an element refers to, and how many declarations it has from style sheets.
    fn referred(
        &self,
        node: Node<'a, 'input>,
    ) -> Result<(Vec<Node<'a, 'input>>, usize), ArtworkError> {
        let mut ids = Vec::new();
        let mut declared = 0;
        let mut declare = |name: &str, value: &'a str| {
            if REFERRING.contains(&name) && value.trim() == "inherit" {
                return refuse(
                    format!("an inherited {name}"),
                    "set it on the element itself",
                );
            }
            ids.extend(local_urls(value)?);
            Ok(())
        };
        let known = |namespace| matches!(namespace, None | Some(SVG | XLINK));
        for attribute in node.attributes().filter(|a| known(a.namespace())) {
            declare(attribute.name(), attribute.value())?;
        }
        for declaration in DeclarationTokenizer::from(node.attribute("style").unwrap_or_default()) {
            declare(declaration.name, declaration.value)?;
        }
        for rule in &self.sheet.rules {
            if rule.selector.matches(&Element(node)) {
                declared += rule.declarations.len();
                for declaration in &rule.declarations {
                    declare(declaration.name, declaration.value)?;
                }
            }
        }
        for attribute in node.attributes().filter(|a| known(a.namespace())) {
            if attribute.name() == "href" {
                ids.push(local(attribute.value())?);
            }
        }
        let nodes = ids
            .into_iter()
            .filter_map(|id| self.by_id.get(id))
            .flatten();
        Ok((nodes.copied().collect(), declared))
    }
}

/// The names in `url(#name)`, wherever they stand.
fn local_urls(value: &str) -> Result<Vec<&str>, ArtworkError> {
    const START: &[u8] = b"url(";
    let windows = value.as_bytes().windows(START.len()).enumerate();
    let starts = windows.filter(|(_, window)| window.eq_ignore_ascii_case(START));
    let names = starts.map(|(at, _)| {
        let rest = value.get(at + START.len()..).unwrap_or_default();
        let url = rest.split(')').next().unwrap_or_default();
        local(url.trim().trim_matches(['"', '\'']))
    });
    names.collect()
}

/// The name in `#name`.
fn local(url: &str) -> Result<&str, ArtworkError> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "\"'()\\#".contains(c);
    match url.trim().strip_prefix('#') {
        Some(name) if !name.contains(odd) => Ok(name),
        _ => refuse(
            format!("a reference to \"{}\"", words(&url)),
            "expected #name, of an element of the same file",
        ),
    }
}

/// An element, to be matched by a selector without combinators.
struct Element<'a, 'input>(Node<'a, 'input>);

impl simplecss::Element for Element<'_, '_> {
    fn parent_element(&self) -> Option<Self> {
        self.0.parent_element().map(Element)
    }

    fn prev_sibling_element(&self) -> Option<Self> {
        self.0.prev_sibling_element().map(Element)
    }

    fn has_local_name(&self, name: &str) -> bool {
        self.0.tag_name().name() == name
    }

    fn attribute_matches(&self, name: &str, operator: AttributeOperator<'_>) -> bool {
        let value = self.0.attribute(name);
        value.is_some_and(|value| operator.matches(value))
    }

    fn pseudo_class_matches(&self, class: PseudoClass<'_>) -> bool {
        // To take every element for a first child only makes the check stricter.
        class == PseudoClass::FirstChild
    }
}

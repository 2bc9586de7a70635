//! The pages: the viewer's, the browser source's, and what both load. All is in the binary.
//!
//! Every answer carries an `ETag` and `no-cache`, so that a browser asks each time and is sent
//! a page again only when a new version of the service, or another stylesheet, serves it.
//! Names from outside are never put into a page: its script reads them from the address. The names
//! of configured channels are, percent-encoded, where a page links to its channel's stylesheet.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

use crate::artwork::Artwork;
use crate::reaction::{Emoji, Palette};
use crate::server::path::{parameter, segments};
use crate::server::{App, Channels, REACTION_CACHE, topics};
use crate::topic::{TopicName, encoded};

const OVERLAY_HTML: &str = include_str!("../../assets/overlay.html");
const OVERLAY_JS: &str = include_str!("../../assets/overlay.js");
const SPRITES_JS: &str = include_str!("../../assets/sprites.js");
const MOTION_JS: &str = include_str!("../../assets/motion.js");
const RASTER_JS: &str = include_str!("../../assets/raster.js");
const RULES_JS: &str = include_str!("../../assets/rules.js");
const STAGE_JS: &str = include_str!("../../assets/stage.js");
const SIGNS_JS: &str = include_str!("../../assets/signs.js");
const VIEWER_HTML: &str = include_str!("../../assets/viewer.html");
const CONTROL_HTML: &str = include_str!("../../assets/control.html");
const FONT: &[u8] = include_bytes!("../../assets/fonts/NotoColorEmoji-floatup.ttf");

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// What the pages load besides the stylesheet: path under `/assets/`, content type, bytes.
const ASSETS: &[(&str, &str, &[u8])] = &[
    ("overlay.js", JS, OVERLAY_JS.as_bytes()),
    ("sprites.js", JS, SPRITES_JS.as_bytes()),
    ("motion.js", JS, MOTION_JS.as_bytes()),
    ("raster.js", JS, RASTER_JS.as_bytes()),
    ("rules.js", JS, RULES_JS.as_bytes()),
    ("stage.js", JS, STAGE_JS.as_bytes()),
    ("signs.js", JS, SIGNS_JS.as_bytes()),
    ("palette.js", JS, include_bytes!("../../assets/palette.js")),
    ("chat.js", JS, include_bytes!("../../assets/chat.js")),
    ("topic.js", JS, include_bytes!("../../assets/topic.js")),
    ("viewer.js", JS, include_bytes!("../../assets/viewer.js")),
    ("viewer.css", CSS, include_bytes!("../../assets/viewer.css")),
    ("control.js", JS, include_bytes!("../../assets/control.js")),
    (
        "control.css",
        CSS,
        include_bytes!("../../assets/control.css"),
    ),
    (FONT_PATH, "font/ttf", FONT),
    (
        "fonts/OFL.txt",
        "text/plain; charset=utf-8",
        include_bytes!("../../assets/fonts/OFL.txt"),
    ),
];

/// What `sprites.js` imports. These import nothing.
const PARTS: [(&str, &str); 5] = [
    ("./motion.js", MOTION_JS),
    ("./raster.js", RASTER_JS),
    ("./rules.js", RULES_JS),
    ("./stage.js", STAGE_JS),
    ("./signs.js", SIGNS_JS),
];

/// The bundled font, as the stylesheet names it.
const FONT_PATH: &str = "fonts/NotoColorEmoji-floatup.ttf";

/// A video may be of any site; everything else is of this one.
const VIEWER_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    font-src 'self'; connect-src 'self'; img-src 'self' http: https: blob: data:; \
    media-src 'self' http: https: blob: data:; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'self'";

/// It frames the browser source, and nothing else may frame it: its buttons are an operator's.
const CONTROL_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; frame-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// Inline styles are let in, because OBS adds a source's "Custom CSS" as an inline style, and the
/// page has one of its own. Any page may frame it.
const OVERLAY_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; font-src 'self' data:; connect-src 'self'; \
    img-src 'self' http: https: data:; base-uri 'none'; form-action 'none'";

/// Scripts, styles and data are of no use as pages of their own.
const ASSET_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Nothing may run in an image, or be fetched by it.
const IMAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// The routes `/`, `/overlay/{channel}`, `/control`, `/assets/…` and `/palette.json`.
///
/// `palette` is the viewer page's allow-list, and names each reaction's class in the stylesheet:
/// `[{"name":"heart","emoji":"❤️","class":"heart"},…]` in the palette's order. A page of any origin
/// may read it, for overlays that are opened as a file. `stylesheet` is served as `/assets/overlay.css`, and a channel's own under the same
/// address with `?channel=` and its name; the caller has checked them.
///
/// `/overlay/{channel}` answers any valid name, whether or not such a channel runs: the page waits
/// for it. An invalid name gets 400 with a line of text that says what is accepted.
pub fn router(stylesheet: Arc<str>, palette: Arc<Palette>, channels: &Channels) -> Router {
    let viewer = Page::new(VIEWER_HTML.into(), HTML, VIEWER_POLICY);
    let overlay = Page::new(OVERLAY_HTML.into(), HTML, OVERLAY_POLICY);
    let control = Page::new(CONTROL_HTML.into(), HTML, CONTROL_POLICY);
    let css =
        |text: &Arc<str>| Page::new(Bytes::copy_from_slice(text.as_bytes()), CSS, ASSET_POLICY);
    let mut viewers = Variants::new(viewer);
    let mut overlays = Variants::new(overlay);
    let mut stylesheets = Variants::new(css(&stylesheet));
    for (name, channel) in channels {
        let linked = |page: &str| {
            let html = page.replacen(
                STYLESHEET,
                &format!("{STYLESHEET}?channel={}", encoded(name)),
                1,
            );
            Bytes::from(html)
        };
        if channel.topic.cache() == REACTION_CACHE {
            let page = Page::new(linked(VIEWER_HTML), HTML, VIEWER_POLICY);
            viewers.add(channel.topic.topic(), page);
        }
        overlays.add(name, Page::new(linked(OVERLAY_HTML), HTML, OVERLAY_POLICY));
        stylesheets.add(name, css(&channel.stylesheet));
    }
    let overlay = move |Path(channel): Path<String>, headers: HeaderMap| async move {
        match TopicName::new(REACTION_CACHE, &channel) {
            Ok(_) => overlays.get(&channel).answer(&headers),
            Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
        }
    };
    let palette = Page::new(
        palette_json(&palette).into(),
        "application/json",
        ASSET_POLICY,
    )
    .for_any_origin();
    let router = Router::new()
        .route("/", viewers.route("videoId", DEFAULT_VIDEO))
        .route("/overlay/{channel}", get(overlay))
        .route("/control", control.route())
        .route("/assets/overlay.css", stylesheets.route("channel", ""))
        .route("/palette.json", palette.route());
    ASSETS.iter().fold(router, |router, (path, kind, body)| {
        let asset = Page::new(Bytes::from_static(body), kind, ASSET_POLICY);
        router.route(&format!("/assets/{path}"), asset.route())
    })
}

/// The overlay page as one file, for OBS's "Local file": it can be open before the service is,
/// and connects when the service appears.
///
/// Stylesheet, scripts and font are in it. `service_url` is where the service answers, such as
/// `http://127.0.0.1:8787`, with the path of a proxy if there is one; `channel` is a valid name.
/// A relative `url()` in the stylesheet other than the bundled font's leads nowhere in such a file.
#[must_use]
pub fn standalone_overlay(stylesheet: &str, service_url: &str, channel: &str) -> String {
    // As data: addresses the scripts need no escaping, and stay modules as they are.
    let script = |text: &str| data_uri("text/javascript", text.as_bytes());
    let sprites = PARTS
        .iter()
        .fold(SPRITES_JS.to_owned(), |text, (name, part)| {
            text.replace(name, &script(part))
        });
    let overlay = script(&OVERLAY_JS.replace("./sprites.js", &script(&sprites)));
    let stylesheet = stylesheet
        .replace(FONT_PATH, &data_uri("font/ttf", FONT))
        // In CSS `\/` is `/`; in HTML `</style` would end the element.
        .replace("</", "<\\/");
    // The stylesheet comes last, so that nothing in it is taken for the page's own.
    OVERLAY_HTML
        .replacen(
            HTML_TAG,
            &format!(
                "<html lang=\"en\" data-service=\"{}\" data-channel=\"{}\">",
                escape_attribute(service_url),
                escape_attribute(channel)
            ),
            1,
        )
        .replacen(SCRIPT_SOURCE, &overlay, 1)
        .replacen(
            STYLESHEET_LINK,
            &format!("<style>\n{stylesheet}</style>"),
            1,
        )
}

const HTML_TAG: &str = "<html lang=\"en\">";
const SCRIPT_SOURCE: &str = "../assets/overlay.js";
const STYLESHEET_LINK: &str = "<link rel=\"stylesheet\" href=\"../assets/overlay.css\">";

/// What `viewer.js` follows when its address names no video.
const DEFAULT_VIDEO: &str = "demo";

/// The stylesheet, as both pages name it.
const STYLESHEET: &str = "assets/overlay.css";

/// The files of reactions' images, as they are: `/reactions/{name}`. An SVG image that is opened as
/// a page can do nothing.
pub(super) struct Images(BTreeMap<String, Page>);

impl Images {
    pub(super) fn new(images: &[(Emoji, Artwork)]) -> Self {
        let page = |(emoji, image): &(Emoji, Artwork)| {
            let file = Bytes::copy_from_slice(image.bytes());
            let page = Page::new(file, image.media_type(), IMAGE_POLICY);
            (image_name(emoji).to_owned(), page)
        };
        Self(images.iter().map(page).collect())
    }
}

/// `GET /reactions/{name}`: an image, or else what stands there otherwise, which is nothing.
pub(super) async fn image(State(app): State<Arc<App>>, request: Request) -> Response {
    let segments = segments(request.uri()).unwrap_or_default();
    let image = segments.get(1).and_then(|name| app.images.0.get(name));
    match image {
        Some(image) => image.answer(request.headers()),
        None => topics::handle(State(app), request).await,
    }
}

/// The name of the reaction that such an emoji stands for.
fn image_name(emoji: &Emoji) -> &str {
    emoji.as_str().trim_matches(':')
}

/// Where its image is, percent-encoded.
fn image_path(emoji: &Emoji) -> String {
    format!("/reactions/{}", encoded(image_name(emoji)))
}

/// A page of which some names have one of their own.
#[derive(Clone)]
struct Variants {
    other: Page,
    by_name: BTreeMap<String, Page>,
}

impl Variants {
    /// `other` is the page of all other names.
    fn new(other: Page) -> Self {
        Self {
            other,
            by_name: BTreeMap::new(),
        }
    }

    /// The first page of a name stays.
    fn add(&mut self, name: &str, page: Page) {
        self.by_name.entry(name.to_owned()).or_insert(page);
    }

    fn get(&self, name: &str) -> &Page {
        self.by_name.get(name).unwrap_or(&self.other)
    }

    /// Picks by the value of a query parameter. Where it is missing or empty, the name is
    /// `default`.
    fn route(self, query: &'static str, default: &'static str) -> axum::routing::MethodRouter {
        get(move |uri: Uri, headers: HeaderMap| async move {
            let name = parameter(&uri, query).ok().flatten().unwrap_or_default();
            let name = if name.is_empty() { default } else { &name };
            self.get(name).answer(&headers)
        })
    }
}

/// One fixed answer.
#[derive(Clone)]
struct Page {
    body: Bytes,
    kind: &'static str,
    policy: &'static str,
    tag: Arc<str>,
    any_origin: bool,
}

impl Page {
    fn new(body: Bytes, kind: &'static str, policy: &'static str) -> Self {
        let digest = Sha256::digest(&body);
        let hex: String = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
        Self {
            body,
            kind,
            policy,
            tag: format!("\"{hex}\"").into(),
            any_origin: false,
        }
    }

    /// The same, but scripts of any origin, files among them, may read it.
    fn for_any_origin(mut self) -> Self {
        self.any_origin = true;
        self
    }

    fn route(self) -> axum::routing::MethodRouter {
        get(move |headers: HeaderMap| async move { self.answer(&headers) })
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        let tag = HeaderValue::from_str(&self.tag)
            .expect("invariant: hex digits in quotes are a header value");
        let fixed = [
            (header::CONTENT_TYPE, self.kind),
            (header::CONTENT_SECURITY_POLICY, self.policy),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        let known = request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|tag| {
                let tag = tag.trim();
                tag == "*" || tag.trim_start_matches("W/") == &*self.tag
            });
        let (status, body) = if known {
            (StatusCode::NOT_MODIFIED, Bytes::new())
        } else {
            (StatusCode::OK, self.body.clone())
        };
        let mut response = (status, fixed, [(header::ETAG, tag)], body).into_response();
        if self.any_origin {
            let any = HeaderValue::from_static("*");
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
        }
        response
    }
}

fn palette_json(palette: &Palette) -> String {
    let entries: Vec<_> = palette
        .entries()
        .map(|(name, emoji)| {
            let class = Palette::class(name);
            let mut entry =
                serde_json::json!({ "name": name, "emoji": emoji.as_str(), "class": class });
            if *emoji == Emoji::of_image(name) {
                entry["image"] = image_path(emoji).into();
            }
            entry
        })
        .collect();
    serde_json::Value::from(entries).to_string()
}

fn data_uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", BASE64.encode(bytes))
}

fn escape_attribute(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standalone_overlay_has_every_part_in_its_place() {
        for part in [HTML_TAG, SCRIPT_SOURCE, STYLESHEET_LINK] {
            assert_eq!(OVERLAY_HTML.matches(part).count(), 1, "{part}");
        }
        assert_eq!(OVERLAY_JS.matches("./sprites.js").count(), 1);
        for (name, text) in PARTS {
            assert_eq!(SPRITES_JS.matches(name).count(), 1, "{name}");
            assert!(!text.contains("\nimport "), "{name} imports something");
        }
        assert_eq!(SPRITES_JS.matches("\nimport ").count(), PARTS.len());
        for page in [OVERLAY_HTML, VIEWER_HTML] {
            assert_eq!(page.matches(STYLESHEET).count(), 1);
        }
        let css = include_str!("../../assets/overlay.css");
        assert_eq!(css.matches(FONT_PATH).count(), 1);

        let page = standalone_overlay(css, "http://127.0.0.1:8787", "demo");
        assert!(page.contains("data-service=\"http://127.0.0.1:8787\" data-channel=\"demo\""));
        assert!(page.contains("@keyframes floatUpAndOut"));
        assert!(
            !page.contains("../assets"),
            "it must load nothing beside itself"
        );
        assert!(!page.contains(FONT_PATH));
    }

    #[test]
    fn standalone_overlay_keeps_outside_text_in_its_place() {
        let page = standalone_overlay(
            "/* </style><script>alert(1)</script> ../assets/overlay.js */",
            "http://h/\"><script>alert(2)</script>",
            "a\"&<b>",
        );
        assert_eq!(
            page.matches("<script").count(),
            2,
            "the page's and one in a comment"
        );
        assert_eq!(page.matches("</script>").count(), 1);
        assert_eq!(page.matches("</style>").count(), 2);
        assert!(page.contains("data-channel=\"a&quot;&amp;&lt;b&gt;\""));
    }
}

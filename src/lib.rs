//! floatup burns a live audience's emoji reactions into the broadcast, without a browser.
//!
//! It subscribes to a stream's reaction topic, floats a fading emoji for each reaction along the
//! curve of a CSS stylesheet, and delivers the picture: as raw RGBA frames, as a video file with
//! alpha, as a still, as a page for OBS, or in the picture of a programme. This page is the architecture; the command line, the
//! HTTP API, the environment names, raw frames, file formats and metric names are the stable
//! interfaces, and this library is not one of them.
//!
//! # One picture
//!
//! ```text
//! viewers ──POST──► topic ──► source ──► Cue ──► stage ──► Placements ──► paint ──► Painting ──► output
//!                    │       (follow,   (page,  (sprites,     ▲             ▲                   (frames)
//!                    │        resume,   number,  cap)         │             │
//!                    │        decode)   reactions)          motion        sprite
//!                    └──► server ──► pages (viewer, browser source):      (emoji)
//!                                    the same stylesheet, the same glyphs, the same hash
//! ```
//!
//! A *channel* is one stream's row of this picture; one process runs many.
//!
//! - **One stylesheet, two renderers.** `assets/overlay.css` is the truth about motion: pages use
//!   it as it is, [`motion`] parses it. A user's own works in both.
//! - **One place everywhere.** Where a sprite starts is a function of its topic item alone
//!   ([`scatter`]), so every page and every frame show it at the same place.
//! - **The browser's picture.** [`sprite`] and [`paint`] are the two stages in which Chromium draws
//!   a moving glyph, with its rounding.
//!
//! # Layout
//!
//! Modules stand in reading order, and each imports only from those above it; a test holds this.
//!
//! The *core* is pure: no clock, no IO, no environment, no thread of its own, no tokio. Time,
//! randomness, bytes and the threads to draw on are arguments, and what has been constructed cannot
//! fail. The *shell* reads clocks and sockets; the *top* puts a process together.
//!
//! The core alone, from a message to pixels:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use floatup::cast::Cast;
//! use floatup::emoji::EmojiFonts;
//! use floatup::frame::{Alpha, Frame, PixelFormat, Size};
//! use floatup::motion::Stylesheet;
//! use floatup::paint::Painter;
//! use floatup::reaction::Palette;
//! use floatup::sprite::{SpriteSheet, Subject};
//! use floatup::stage::{Entrance, Limits, Stage};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let reactions = Palette::default().decode(r#"{"reaction":"heart","count":3}"#)?;
//! let stylesheet = Stylesheet::parse(floatup::look::STYLESHEET)?;
//! let heart = Subject {
//!     emoji: &reactions[0].emoji,
//!     reaction: Some("heart"),
//!     font_size_px: stylesheet.font_size_px(Some("heart")),
//!     growth: 1.0,
//!     artwork: None,
//! };
//! let sheet = Arc::new(SpriteSheet::new(&EmojiFonts::bundled(), [heart])?);
//! let size = Size::new(640, 360)?;
//! let cast = Cast::new(stylesheet.into(), Arc::clone(&sheet), size, 1.0);
//! let mut stage = Stage::new(cast, Limits::default());
//! let mut painter = Painter::new(sheet, size);
//!
//! // The topic's page 1, its item 1, published when the channel was one second old.
//! stage.spawn(&Entrance {
//!     page: 1,
//!     sequence: 1,
//!     publisher: None,
//!     reactions: &reactions,
//!     at: Duration::from_secs(1),
//! });
//! let mut frame = Frame::new(size, Alpha::Straight, PixelFormat::Rgba);
//! painter.paint(stage.placements(Duration::from_millis(999))).draw(&mut frame);
//! assert!(frame.pixels().iter().all(|pixel| pixel[3] == 0));
//! painter.paint(stage.placements(Duration::from_millis(2_000))).draw(&mut frame);
//! assert!(frame.pixels().iter().any(|pixel| pixel[3] > 0));
//! # Ok(())
//! # }
//! ```
//!
//! # Invariants
//!
//! - The server and the stage don't know each other: page and renderer are two subscribers of one
//!   topic.
//! - The stage sees no pixel; paint sees no clock; pixels are written nowhere else.
//! - A pose is a closed form of age, so that 30 and 60 frames a second agree where both draw.
//! - Time stamps are made from a frame's index, never summed.
//! - Nothing is unbounded: every queue, map and cache has a named capacity, and says what happens
//!   when it is full.
//! - stdout is for frames and asked-for answers alone; all else is said on stderr.
//! - Untrusted text is never HTML, never a path, never a format string. Only emoji of the palette
//!   are ever drawn.
//! - A programme never waits for its overlay.
//! - `unsafe` code is in one module, `burn_in/ffi`: what the FFmpeg bindings have no safe function
//!   for.
//!
//! # Glossary
//!
//! | word | what it is here |
//! | --- | --- |
//! | channel | one stream: a topic, a stage, outputs |
//! | topic, item | a named sequence of messages in a cache, and one of them |
//! | page | one incarnation of a topic; its items are numbered from 1 |
//! | token | what lets its holder publish to or read one topic, for half an hour |
//! | operator | who may change what the service does: with the control key, or at this machine |
//! | source | what follows a topic |
//! | room, member | a chat, of a channel or not, and one connection to it |
//! | cue | one item's reactions, with its page and number |
//! | reaction | an emoji and how many of it |
//! | palette | the reactions that are allowed, by name |
//! | emoji | one grapheme cluster of text, and the font's picture of it |
//! | sprite | one emoji on its way |
//! | sheet, layer | every emoji in use at its size, and one of them |
//! | figure | one emoji or image of a sheet, with its box |
//! | artwork | a reaction's own image |
//! | stage | the sprites that are alive |
//! | flash guard | what draws a picture fainter that would flash too often |
//! | gate | what lets messages in to a channel, or not |
//! | motion, pose | the stylesheet's curve, and a sprite on it at one age |
//! | variable, share | a property that each sprite has its own value of, and how far through its range |
//! | cast | all figures with their motions, on a frame |
//! | placement | a layer, where it is, and its matrix and opacity: all that paint needs |
//! | look, raster | a layer through one matrix at one opacity, and its pixels, kept |
//! | painting | a frame that is laid out, and can be drawn |
//! | band | rows of a frame that one thread draws |
//! | frame | one picture, in the order of channels and the alpha that an output wants |
//! | field, scan | every other row of a frame, and whether fields are of one time |
//! | video frame, plane | a picture in a video format, and one of its arrays of samples |
//! | range | the levels that luma and chroma have, limited or full |
//! | keyer, overlay | what puts a frame over a programme's picture in its own pixel format, and that frame |
//! | cell, siting | the pixels of one chroma sample, and where among them it is |
//! | turn | a quarter turn or mirror of a frame |
//! | matte, plate | how a frame with alpha becomes an opaque picture, and that picture |
//! | key, fill | a frame's alpha as a grey, and its colours |
//! | bleed | colour for clear pixels near others, for lossy codecs |
//! | output, target, form | where frames go, how a person names that, and as what they are written |
//! | plan | an output that has been checked, and can be opened |
//! | sink | an output on a thread of its own, behind a bounded queue |
//! | fanout | from the frame loop to every sink |
//! | moment | what is on stage at one frame; a sink that is behind is owed it |
//! | debut | a message's first frame on stage, from which outputs time it |
//! | feed | a live stream to one reader |
//! | burn-in, programme | reactions in the picture of a video, and that video with all its streams |
//! | slate | a picture in place of those of a lost input |
//! | turn | how a picture is turned by quarters before it is shown |
//! | crowd, curve | simulated viewers, and their rate over time |
//! | chart | the test picture of known colours and alpha |
//! | capture | what others have made of frames, read back |
//! | fate | what became of the chart's alpha in a capture |
//!
//! Time: `pts` is media time since the channel's start, age is `pts` less the time of spawning.
//!
//! # Specifications
//!
//! | what | where |
//! | --- | --- |
//! | CSS Animations 1, CSS Easing 2, CSS Transforms 1, CSS Syntax 3, CSS Values 4, CSS Custom Properties 1, CSS Cascade 4 | [`motion`] |
//! | OpenType `CBDT`, `sbix`, `GSUB` | [`emoji`] |
//! | CSS Color 4, named and hexadecimal colours | [`matte`] |
//! | PNG, APNG, GIF, WebP, SVG 1.1 | [`artwork`] |
//! | Porter and Duff, source-over | [`pixel`], [`paint`] |
//! | WCAG 2.2, relative luminance and 2.3.1 | [`flash`] |
//! | AWS Signature Version 4, Amazon ECS and EC2 credentials endpoints | [`aws`] |
//! | Amazon IVS Chat messaging API, WebSocket (RFC 6455) | [`source`] |
//! | Amazon IVS `PutMetadata` | [`timed_metadata`] |
//! | gRPC-Web (PROTOCOL-WEB), Protocol Buffers 3, Momento's `token.proto` | [`momento`] |
//! | Momento Topics HTTP API | [`server`], [`source`] |
//! | IRC (RFC 2812), IRCv3 message tags, YouTube Data API v3 | [`source`] |
//! | MQTT 3.1.1 (OASIS), NATS client protocol, NATS ADR-15 and ADR-17, Redis streams over RESP 3 | [`source`] |
//! | JSON Web Signature (RFC 7515), HMAC SHA-256 | [`token`] |
//! | TLS 1.2 and 1.3, PEM (RFC 7468), `X-Forwarded-For`, Content Security Policy 3 | [`server`] |
//! | ISO 8601, dates of HTTP (RFC 9110, 5.6.7) | [`calendar`] |
//! | Server-sent events (HTML, 9.2), CORS (Fetch) | [`server`] |
//! | Amazon IVS Chat API (2020-07-14), Chat Messaging API, WebSocket (RFC 6455) | [`server`] |
//! | HTTP Live Streaming (RFC 8216), program date and time | [`burn_in`] |
//! | OpenMetrics text | [`metrics`] |
//! | EBML (RFC 8794), Matroska (RFC 9559), NUT, QuickTime File Format, ISO/IEC 14496-12 | [`output`] |
//! | SMPTE ST 274, ST 296 | [`config`] |
//! | ITU-R BT.2020-2, BT.2087-0, BT.2100-2, BT.2408-7, ITU-T H.273, H.264 (6.2) | [`keyer`] |
//! | ITU-R BT.709-6 | [`planes`], [`keyer`], [`output`], [`chart`], [`capture`] |
//! | ITU-R BT.601-7, IEC 61966-2-1 (sRGB) | [`keyer`], [`chart`] |
//! | EBU R 95 | [`chart`] |
#![deny(unsafe_code)]

// Core.
pub mod pixel;
pub mod frame;
pub mod planes;
pub mod keyer;
pub mod matte;
pub mod motion;
pub mod reaction;
pub mod scatter;
pub mod token;
pub mod emoji;
pub mod artwork;
pub mod sprite;
pub mod cast;
pub mod stage;
pub mod gate;
pub mod paint;
pub mod flash;
pub mod scene;
pub mod log;
pub mod calendar;
pub mod shown;
pub mod chart;
pub mod crowd;

// Shell.
pub mod metrics;
pub mod fetch;
pub mod aws;
pub mod momento;
pub mod topic;
pub mod source;
pub mod timed_metadata;
pub mod output;
pub mod capture;
pub mod burn_in;
pub mod server;

// Top.
pub mod config;
pub mod stderr;
pub mod look;
pub mod channel;
pub mod command;

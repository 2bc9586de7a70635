//! Whole files, most of them made here.

use std::io::Cursor;

use image::codecs::gif::{GifEncoder, Repeat};
use image::codecs::webp::WebPEncoder;
use image::{Delay, ExtendedColorType, Frame, ImageFormat, Rgba, RgbaImage};
use proptest::prelude::*;

use super::*;

const WEBP: &[u8] = include_bytes!("../../tests/images/three-frames.webp");

const RED: [u8; 4] = [255, 0, 0, 255];
const GREEN: [u8; 4] = [0, 255, 0, 255];

fn png(image: &RgbaImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn plain(width: u32, height: u32, colour: [u8; 4]) -> RgbaImage {
    RgbaImage::from_pixel(width, height, Rgba(colour))
}

fn gif(frames: &[(RgbaImage, u32)], repeat: Option<Repeat>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, 30);
    if let Some(repeat) = repeat {
        encoder.set_repeat(repeat).unwrap();
    }
    for (image, millis) in frames {
        let delay = Delay::from_numer_denom_ms(*millis, 1);
        let frame = Frame::from_parts(image.clone(), 0, 0, delay);
        encoder.encode_frame(frame).unwrap();
    }
    drop(encoder);
    bytes
}

/// A chunk of a PNG file.
fn chunk(name: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in name.iter().chain(data) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
        }
    }
    let len = u32::try_from(data.len()).unwrap();
    [&len.to_be_bytes()[..], &name, data, &(!crc).to_be_bytes()].concat()
}

/// The chunks of a PNG file: names and data.
fn chunks(png: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
    let mut rest = &png[8..];
    let mut chunks = Vec::new();
    while let [a, b, c, d, tail @ ..] = rest {
        let len = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        chunks.push((tail[..4].try_into().unwrap(), tail[4..4 + len].to_vec()));
        rest = &tail[len + 8..];
    }
    chunks
}

/// Frames of one size with delays in hundredths of a second.
fn apng(frames: &[(RgbaImage, u16)], plays: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let count = u32::try_from(frames.len()).unwrap();
    let mut sequence = 0_u32;
    for (index, (image, hundredths)) in frames.iter().enumerate() {
        let (width, height) = image.dimensions();
        let mut control = Vec::new();
        for number in [sequence, width, height, 0, 0] {
            control.extend(number.to_be_bytes());
        }
        control.extend(hundredths.to_be_bytes());
        control.extend([0, 100, 0, 0]);
        sequence += 1;
        for (name, data) in chunks(&png(image)) {
            match &name {
                b"IHDR" if index == 0 => {
                    bytes.extend(chunk(name, &data));
                    let animation = [count.to_be_bytes(), plays.to_be_bytes()].concat();
                    bytes.extend(chunk(*b"acTL", &animation));
                    bytes.extend(chunk(*b"fcTL", &control));
                }
                b"IHDR" => bytes.extend(chunk(*b"fcTL", &control)),
                b"IDAT" if index == 0 => bytes.extend(chunk(name, &data)),
                b"IDAT" => {
                    let data = [&sequence.to_be_bytes()[..], &data].concat();
                    bytes.extend(chunk(*b"fdAT", &data));
                    sequence += 1;
                }
                _ => {}
            }
        }
    }
    bytes.extend(chunk(*b"IEND", &[]));
    bytes
}

fn svg(body: &str) -> Vec<u8> {
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' \
         viewBox='0 0 20 10'>{body}</svg>"
    )
    .into_bytes()
}

fn read(bytes: Vec<u8>) -> Artwork {
    Artwork::decode(bytes).unwrap()
}

fn refused(bytes: Vec<u8>) -> String {
    Artwork::decode(bytes).unwrap_err().to_string()
}

fn millis(artwork: &Artwork) -> Vec<u128> {
    let timing = artwork.timing();
    let frames = 0..timing.frames();
    frames.map(|i| timing.shown_for(i).as_millis()).collect()
}

fn plays(artwork: &Artwork) -> Option<u32> {
    artwork.timing().plays().map(u32::from)
}

/// The first pixel of each frame, at the file's own size.
fn first_pixels(artwork: &Artwork, height: f64) -> Vec<[u8; 4]> {
    let frames = artwork.frames(height).unwrap();
    frames.iter().map(|frame| frame.pixels[0]).collect()
}

#[test]
fn a_still_of_each_format_keeps_its_pixels_premultiplied() {
    let image = plain(3, 2, [200, 100, 0, 128]);
    let mut webp = Vec::new();
    WebPEncoder::new_lossless(&mut webp)
        .encode(&image, 3, 2, ExtendedColorType::Rgba8)
        .unwrap();
    for (bytes, media_type) in [(png(&image), "image/png"), (webp, "image/webp")] {
        let artwork = read(bytes.clone());
        assert_eq!(artwork.media_type(), media_type);
        assert_eq!(artwork.bytes(), bytes);
        assert!((artwork.aspect() - 1.5).abs() < 1e-9);
        let frames = artwork.frames(2.0).unwrap();
        assert_eq!(frames.len(), 1);
        assert_eq!((frames[0].width, frames[0].height), (3, 2));
        assert_eq!(frames[0].pixels, [[100, 50, 0, 128]; 6]);
    }
}

#[test]
fn animations_have_their_own_timing_and_plays() {
    let (red, green) = (plain(4, 4, RED), plain(4, 4, GREEN));
    let artwork = read(apng(&[(red.clone(), 5), (green.clone(), 1)], 3));
    assert_eq!(millis(&artwork), [50, 100]);
    assert_eq!(plays(&artwork), Some(3));
    assert_eq!(first_pixels(&artwork, 4.0), [RED, GREEN]);
    assert_eq!(plays(&read(apng(&[(red.clone(), 5)], 0))), None);

    let frames = [(red, 40), (green, 10)];
    let artwork = read(gif(&frames, Some(Repeat::Infinite)));
    assert_eq!(millis(&artwork), [40, 100]);
    assert_eq!(plays(&artwork), None);
    assert_eq!(artwork.media_type(), "image/gif");
    assert_eq!(first_pixels(&artwork, 4.0), [RED, GREEN]);
    // It says how often it repeats; without that it plays once.
    assert_eq!(plays(&read(gif(&frames, Some(Repeat::Finite(2))))), Some(3));
    assert_eq!(plays(&read(gif(&frames, None))), Some(1));

    let artwork = read(WEBP.to_vec());
    assert_eq!(millis(&artwork), [100, 300, 150]);
    assert_eq!(plays(&artwork), Some(2));
    assert_eq!(first_pixels(&artwork, 4.0), [RED, [0, 0, 127, 127], [0; 4]]);
}

#[test]
fn what_a_webp_frame_clears_is_transparent() {
    let mut bytes = WEBP.to_vec();
    let flags: Vec<_> = (0..bytes.len() - 24)
        .filter(|&at| &bytes[at..at + 4] == b"ANMF")
        .map(|at| at + 23)
        .collect();
    assert_eq!(flags.len(), 3);
    // The first is cleared, and the third, which is transparent, blended over nothing.
    bytes[flags[0]] = 0b11;
    bytes[flags[1]] = 0b01;
    bytes[flags[2]] = 0b00;
    let artwork = read(bytes);
    assert_eq!(first_pixels(&artwork, 4.0), [RED, [0, 0, 127, 127], [0; 4]]);
}

#[test]
fn a_picture_is_as_high_as_its_box_unless_it_is_very_wide() {
    let size = |width, height, px| read(png(&plain(width, height, RED))).size(px);
    assert_eq!(size(10, 10, 35.0), (35, 35));
    assert_eq!(size(10, 20, 35.0), (18, 35));
    assert_eq!(size(40, 10, 35.0), (140, 35));
    assert_eq!(size(80, 10, 35.0), (140, 18));
    assert_eq!(size(4_000, 1, 35.0), (140, 1));
    assert_eq!(size(1, 4_000, 35.0), (1, 35));
    assert_eq!(size(10, 10, 0.0), (1, 1));
    assert_eq!(size(10, 10, f64::NAN), (1, 1));
    assert_eq!(size(10, 10, 37.4375), (37, 37));
    let artwork = read(png(&plain(1, 1, RED)));
    assert!(artwork.frames(1e300).is_err());
    assert!(artwork.frames(f64::INFINITY).is_err());
    assert!(artwork.frames(5_792.0).is_ok());
    let error = artwork.frames(5_793.0).unwrap_err().to_string();
    assert!(error.contains("128 MiB at 5793x5793"), "{error}");
}

#[test]
fn what_is_transparent_lends_no_colour_when_scaled() {
    let mut image = plain(8, 8, [0, 255, 0, 0]);
    for y in 0..8 {
        image.put_pixel(0, y, Rgba(RED));
    }
    for px in [1.0, 3.0, 4.0, 20.0] {
        let frame = read(png(&image)).frames(px).unwrap().remove(0);
        for [r, g, b, a] in frame.pixels {
            assert_eq!((g, b), (0, 0), "{px}");
            assert_eq!(r, a, "{px}");
        }
    }
}

#[test]
fn svg_is_drawn_anew_at_each_size() {
    let artwork = read(svg("<rect width='10' height='10' fill='#f00'/>"));
    assert_eq!(artwork.media_type(), "image/svg+xml");
    assert!((artwork.aspect() - 2.0).abs() < 1e-9);
    for height in [1_u32, 7, 500] {
        let frame = artwork.frames(f64::from(height)).unwrap().remove(0);
        assert_eq!(frame.width, 2 * height as usize);
        let expected = [vec![RED; height as usize], vec![[0; 4]; height as usize]].concat();
        for row in frame.pixels.chunks(frame.width) {
            assert_eq!(row, expected, "{height}");
        }
    }
}

#[test]
fn svg_of_drawing_programs_is_accepted() {
    let bodies = [
        "<defs><linearGradient id='a'><stop stop-color='red'/></linearGradient></defs>\
         <style>.b{fill:url(#a);} .c, #d{clip-path:url(#e)}</style>\
         <clipPath id='e'><rect width='5' height='5'/></clipPath>\
         <g class='c'><path class='b' d='M0 0H20V10H0z'/></g>",
        "<filter id='f' filterUnits='userSpaceOnUse' x='0' y='0' width='20' height='10'>\
         <feFlood flood-opacity='0' result='x'/><feBlend in='SourceGraphic' in2='x'/>\
         <feGaussianBlur stdDeviation='1.5'/><feColorMatrix values='0 0 0 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0'/>\
         </filter><mask id='m'><rect width='20' height='10' fill='#fff'/></mask>\
         <g filter='url(#f)' mask='url(\"#m\")'><circle cx='5' cy='5' r='4'/></g>",
        "<title>t</title><metadata><r xmlns='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/></metadata>\
         <symbol id='s' viewBox='0 0 1 1'><rect width='1' height='1'/></symbol>\
         <use xlink:href='#s' width='5' height='5'/><use href='#s' width='5' height='5' x='5'/>",
    ];
    for body in bodies {
        let plain = String::from_utf8(svg(body)).unwrap();
        let headed = format!(
            "\u{feff}<?xml version='1.0' encoding='utf-8'?>\n<!DOCTYPE svg PUBLIC \
             '-//W3C//DTD SVG 1.1//EN' 'http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd'>\n{plain}"
        );
        for text in [plain, headed] {
            let frame = read(text.into_bytes()).frames(40.0).unwrap().remove(0);
            assert!(frame.pixels.iter().any(|pixel| pixel[3] > 100), "{body}");
            assert!(
                frame
                    .pixels
                    .iter()
                    .all(|&[r, g, b, a]| r.max(g).max(b) <= a)
            );
        }
    }
}

#[test]
fn svg_that_would_lose_something_or_reach_out_is_refused() {
    let shape = "<rect width='20' height='10'/>";
    for (body, said) in [
        ("<text y='9'>hi</text>", "text (<text>); there are no fonts"),
        ("<image href='file:///etc/passwd'/>", "an image in it"),
        ("<image href='http://localhost/x.png'/>", "an image in it"),
        ("<image xlink:href='../x.png'/>", "an image in it"),
        (
            "<image href='data:image/png;base64,AAAA'/>",
            "an image in it",
        ),
        (
            "<filter id='f'><feImage href='/etc/passwd'/></filter>",
            "an image in it",
        ),
        (
            "<use href='file:///etc/passwd#a'/>",
            "a reference to \"file:///etc",
        ),
        (
            "<use href='other.svg#a'/>",
            "a reference to \"other.svg#a\"",
        ),
        (
            "<rect fill='url(http://x/#a)'/>",
            "a reference to \"http://x/#a\"",
        ),
        (
            "<rect style='fill: URL( \"x.svg#a\" )'/>",
            "a reference to \"x.svg#a\"",
        ),
        (
            "<style>@import url(http://x/a.css);</style>",
            "a reference to",
        ),
        (
            "<style>@font-face{src:url('a.woff')}</style>",
            "a reference to",
        ),
        (
            "<style>@keyframes a{}</style>",
            "animation (@keyframes); use an animated GIF",
        ),
        (
            "<rect><animate attributeName='x'/></rect>",
            "animation (<animate>)",
        ),
        ("<set attributeName='x'/>", "animation (<set>)"),
        ("<script>alert(1)</script>", "a script"),
        ("<g onload='alert(1)'/>", "a script (onload)"),
        ("<a href='javascript:alert(1)'/>", "a script or a link"),
        ("<foreignObject/>", "<foreignObject> in it"),
        (
            "<metadata><p xmlns='http://www.w3.org/1999/xhtml'/></metadata>",
            "HTML",
        ),
        (
            "<pattern id='a' width='1e9' height='1e9'/>",
            "<pattern> in it",
        ),
        (
            "<filter id='f'><feTurbulence numOctaves='999999'/></filter>",
            "<feTurbulence>",
        ),
        (
            "<filter id='f'><feMorphology radius='999999'/></filter>",
            "<feMorphology>",
        ),
        (
            "<style>g g g g{fill:red}</style>",
            "expected selectors of one element",
        ),
        ("<g clip-path='inherit'/>", "an inherited clip-path"),
        ("<g style='mask:inherit'/>", "an inherited mask"),
    ] {
        let error = refused(svg(&format!("{shape}{body}")));
        assert!(error.contains(said), "{body}: {error}");
    }
    for (text, said) in [
        (
            "<svg viewBox='0 0 1 1'><path d='M0 0H1V1'/></svg>",
            "of its namespace",
        ),
        (
            "<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0H1V1'/></svg>",
            "no size",
        ),
        (
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1 1'/>",
            "it draws nothing",
        ),
        (
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1 1'><g>",
            "a damaged SVG",
        ),
        (
            "<?xml-stylesheet href='x'?><svg xmlns='http://www.w3.org/2000/svg'/>",
            "elsewhere",
        ),
        (
            "<!DOCTYPE svg [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><svg>&a;</svg>",
            "entity",
        ),
        ("<html><svg/></html>", "<html> in it"),
    ] {
        let error = refused(text.into());
        assert!(error.contains(said), "{text}: {error}");
    }
}

/// A small file that would take for ever, or all memory or stack.
fn svg_bombs() -> Vec<(&'static str, String)> {
    let levels = |each: &dyn Fn(usize) -> String, count: usize| -> String {
        (1..=count).map(each).collect()
    };
    let shape = "<rect width='20' height='10'/>";
    let uses = |k: usize| format!("<use href='#a{}'/>", k - 1).repeat(10);
    let clipped = |name: &str, k: usize| {
        format!("<rect width='20' height='10' {name}='url(#a{})'/>", k - 1).repeat(10)
    };
    let deep = |tag: &str, count: usize| {
        format!(
            "{}{shape}{}",
            format!("<{tag}>").repeat(count),
            format!("</{tag}>").repeat(count)
        )
    };
    let mask = format!("<mask id='a0'>{shape}</mask>");
    let clip = format!("<clipPath id='a0'>{shape}</clipPath>");
    vec![
        (
            "uses of uses",
            format!("<g id='a0'>{shape}</g>")
                + &levels(&|k| format!("<g id='a{k}'>{}</g>", uses(k)), 12),
        ),
        (
            "masks of masks",
            mask.clone()
                + &levels(&|k| format!("<mask id='a{k}'>{}</mask>", clipped("mask", k)), 12)
                + "<g mask='url(#a12)'><rect width='20' height='10'/></g>",
        ),
        (
            "clips of clips",
            clip.clone()
                + &levels(
                    &|k| format!("<clipPath id='a{k}'>{}</clipPath>", clipped("clip-path", k)),
                    12,
                ),
        ),
        (
            "a long chain of masks",
            mask + &levels(
                &|k| format!("<mask id='a{k}' mask='url(#a{})'>{shape}</mask>", k - 1),
                3_000,
            ) + "<rect width='20' height='10' mask='url(#a3000)'/>",
        ),
        (
            "a circle of three clips",
            [("a", "b"), ("b", "c"), ("c", "a")]
                .map(|(id, to)| {
                    format!("<clipPath id='{id}'><rect width='9' height='9' clip-path='url(#{to})'/></clipPath>")
                })
                .concat()
                + "<rect width='20' height='10' clip-path='url(#a)'/>",
        ),
        (
            "a circle of three masks by style sheet",
            "<style>.a{mask:url(#b)} .b{mask:url(#c)} .c{mask:url(#a)}</style>".to_owned()
                + &["a", "b", "c"]
                    .map(|id| format!("<mask id='{id}'><rect width='9' height='9' class='{id}'/></mask>"))
                    .concat()
                + "<rect width='20' height='10' class='c'/>",
        ),
        ("a use of itself", "<g id='a'><use href='#a'/></g>".into()),
        ("deep groups", deep("g", 50_000)),
        ("deep groups with opacity", deep("g opacity='.5'", 99).replace("</g opacity='.5'>", "</g>")),
        ("many shapes", shape.repeat(40_000)),
        ("many attributes", format!("<g {}/>", levels(&|k| format!("a{k}='' "), 50_000))),
        (
            "many names of namespaces",
            format!("<g {}/>", levels(&|k| format!("xmlns:a{k}='b' "), 50_000)),
        ),
        (
            "a style sheet that multiplies",
            format!("<style>{}a{{{}}}</style>", "a,".repeat(10_000), "b:c;".repeat(10_000)),
        ),
        (
            "a dash that is far too short",
            "<path stroke='red' stroke-dasharray='1e-9' d='M0 0H20'/>".into(),
        ),
        (
            "a path that crosses itself everywhere",
            format!("<path d='M0 0{}'/>", levels(&|k| format!("L{} {}", k * 7 % 20, k * 3 % 10), 60_000)),
        ),
        (
            "a giant filter region on each of many",
            "<filter id='f' x='-1e6' y='-1e6' width='1e7' height='1e7'><feGaussianBlur stdDeviation='1e6'/></filter>"
                .to_owned()
                + &"<rect width='20' height='10' filter='url(#f)'/>".repeat(100),
        ),
    ]
}

pub(super) fn svg_bombs_are_refused() {
    for (name, body) in svg_bombs() {
        let error = refused(svg(&body));
        assert!(
            error.contains("complex") || error.contains("draws nothing"),
            "{name}: {error}"
        );
    }
    let laughs: String = (1..10)
        .map(|k| format!("<!ENTITY a{k} '{}'>", format!("&a{};", k - 1).repeat(10)))
        .collect();
    let laughs = format!("<!DOCTYPE svg [<!ENTITY a0 'ha'>{laughs}]><svg>&a9;</svg>");
    assert!(refused(laughs.into()).contains("an entity declaration"));
}

pub(super) fn svg_at_the_limit_of_depth_is_drawn() {
    for tag in ["g", "g opacity='.99'", "svg", "g transform='scale(1.001)'"] {
        let name = tag.split(' ').next().unwrap();
        let depth = if tag.contains("opacity") { 60 } else { 98 };
        let (open, close) = (format!("<{tag}>"), format!("</{name}>"));
        let body = format!(
            "{}<rect width='20' height='10'/>{}",
            open.repeat(depth),
            close.repeat(depth)
        );
        let frame = read(svg(&body)).frames(8.0).unwrap().remove(0);
        assert!(frame.pixels[0][3] > 100, "{tag}");
    }
}

#[test]
fn svg_with_numbers_of_any_size_is_drawn_or_refused() {
    for size in ["1e30", "1e-30", "3e38", "1e-45", "1e308", "0", "-1", "nan"] {
        let text = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='{size} 0 {size} {size}'>\
             <path d='M{size} 0h{size}v{size}z' stroke='red' stroke-width='{size}' opacity='.5'/>\
             <circle r='{size}' transform='scale({size})' style='filter:blur({size}px)'/></svg>"
        );
        if let Ok(artwork) = Artwork::decode(text.into_bytes()) {
            assert!(artwork.aspect().is_finite() && artwork.aspect() > 0.0);
            assert_eq!(artwork.frames(8.0).unwrap().len(), 1);
        }
    }
}

#[test]
fn other_formats_are_named() {
    for (bytes, said) in [
        (
            &b""[..],
            "an empty file; expected a PNG, APNG, GIF, WebP or SVG image",
        ),
        (b"\xff\xd8\xff\xe0", "a JPEG image; expected"),
        (b"\0\0\0\x1cftypavif", "an AVIF image; expected"),
        (b"\x1f\x8b\x08", "a compressed file"),
        (b"<html>", "not an image of a known format"),
        (b"\xff\xfe<\0s\0v\0g\0", "not an image of a known format"),
    ] {
        let error = refused(bytes.to_vec());
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn files_past_a_limit_are_refused() {
    let error = refused(vec![0; FILE_BYTES_MAX + 1]);
    assert!(error.contains("at most 16777216"), "{error}");
    let error = refused(svg(&" ".repeat(SVG_BYTES_MAX)));
    assert!(error.contains("at most 4194304"), "{error}");
    let error = refused(png(&plain(SIDE_MAX + 1, 1, RED)));
    assert!(
        error.contains("4097x1 pixels; expected sides of 1 to 4096"),
        "{error}"
    );
    // A header that promises what isn't there.
    let mut header = chunks(&png(&plain(1, 1, RED)))[0].1.clone();
    header[..8].copy_from_slice(&[0x7f, 255, 255, 255, 0x7f, 255, 255, 255]);
    let bomb = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(*b"IHDR", &header),
        chunk(*b"IDAT", &[]),
    ];
    assert!(Artwork::decode(bomb.concat()).is_err());
    let mut bomb = gif(&[(plain(1, 1, RED), 0)], None);
    bomb[6..10].copy_from_slice(&[255; 4]);
    assert!(refused(bomb.clone()).contains("65535x65535"));
    bomb[6..10].copy_from_slice(&[0; 4]);
    assert!(refused(bomb).contains("0x0 pixels"));
    let mut bomb = WEBP.to_vec();
    bomb[24..30].copy_from_slice(&[0xff, 0x3f, 0, 0xff, 0x3f, 0]);
    assert!(refused(bomb).contains("16384x16384"));
}

#[test]
fn frames_past_a_limit_are_refused() {
    let frame = (plain(1, 1, RED), 20);
    let frames = vec![frame; FRAMES_MAX + 1];
    assert_eq!(read(gif(&frames[1..], None)).timing().frames(), FRAMES_MAX);
    assert!(refused(gif(&frames, None)).contains("more than 1000 frames"));
    let frames: Vec<_> = frames.into_iter().map(|(image, _)| (image, 2)).collect();
    assert_eq!(read(apng(&frames[1..], 0)).timing().frames(), FRAMES_MAX);
    assert!(refused(apng(&frames, 0)).contains("more than 1000 frames"));
}

#[test]
fn a_gif_frame_larger_than_its_canvas_counts_as_what_it_is() {
    let mut bytes = gif(&vec![(plain(4_000, 4_000, RED), 20); 3], None);
    assert!(refused(bytes.clone()).contains("more than 33 million pixels"));
    bytes[6..10].copy_from_slice(&[1, 0, 1, 0]);
    assert!(refused(bytes).contains("more than 33 million pixels"));
}

#[test]
fn a_file_cut_anywhere_is_refused_or_whole() {
    let frames = [(plain(5, 5, RED), 30), (plain(5, 5, GREEN), 30)];
    let files = [
        png(&frames[0].0),
        gif(&frames, Some(Repeat::Infinite)),
        apng(&[(plain(5, 5, RED), 3), (plain(5, 5, GREEN), 3)], 0),
        WEBP.to_vec(),
        svg("<rect width='5' height='5'/>"),
    ];
    for file in files {
        let whole = read(file.clone());
        for len in 0..file.len() {
            if let Ok(artwork) = Artwork::decode(file[..len].to_vec()) {
                assert_eq!(artwork.timing(), whole.timing(), "{len} of {}", file.len());
                assert_eq!(
                    artwork.frames(5.0),
                    whole.frames(5.0),
                    "{len} of {}",
                    file.len()
                );
            }
        }
    }
}

/// An artwork draws frames that hold together; anything else is refused with words.
fn check(bytes: Vec<u8>) {
    match Artwork::decode(bytes) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(artwork) => {
            let frames = artwork.frames(9.0).unwrap();
            assert_eq!(frames.len(), artwork.timing().frames());
            let (width, height) = artwork.size(9.0);
            for frame in frames {
                assert_eq!(
                    (frame.width, frame.height),
                    (width as usize, height as usize)
                );
                assert_eq!(frame.pixels.len(), frame.width * frame.height);
                assert!(
                    frame
                        .pixels
                        .iter()
                        .all(|&[r, g, b, a]| r.max(g).max(b) <= a)
                );
                assert!(frame.shown_for > Duration::from_millis(10));
            }
        }
    }
}

proptest! {
    #[test]
    fn bytes_changed_anywhere_are_an_image_or_an_error(
        file in 0..6_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let frames = [(plain(5, 3, RED), 30), (plain(5, 3, [9, 9, 9, 0]), 30)];
        let mut bytes = match file {
            0 => png(&frames[0].0),
            1 => gif(&frames, Some(Repeat::Infinite)),
            2 => apng(&[(plain(5, 3, RED), 3), (plain(5, 3, GREEN), 3)], 2),
            3 => WEBP.to_vec(),
            _ => svg("<filter id='f'><feGaussianBlur stdDeviation='2'/></filter><style>.a{mask:url(#m)}</style>\
                      <mask id='m'><path d='M0 0C1 2 3 4 5 6z' fill='#fff' stroke='#ff0' stroke-dasharray='1 2'/></mask>\
                      <g class='a' filter='url(#f)' transform='rotate(10)'><use href='#p'/></g>\
                      <circle id='p' cx='1e1' cy='5' r='4' opacity='.5'/>"),
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            // Digits and letters keep more of an SVG file whole.
            bytes[at] = if file > 3 { b"0123456789-.eE#'<>/ gh"[usize::from(byte) % 22] } else { byte };
        }
        check(bytes);
    }
}

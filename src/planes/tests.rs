use proptest::prelude::*;

use super::*;
use crate::frame::mark;

const RANGES: [Range; 2] = [Range::Limited, Range::Full];

/// Sizes of every kind of edge.
const SIZES: [(u32, u32); 6] = [(1, 1), (2, 1), (1, 2), (16, 2), (33, 5), (161, 91)];

fn size((width, height): (u32, u32)) -> Size {
    Size::new(width, height).unwrap()
}

/// A frame with these straight R, G, B, A from the upper left on.
fn frame(size: Size, alpha: Alpha, format: PixelFormat, rgba: &[[u8; 4]]) -> Frame {
    let mut frame = Frame::new(size, alpha, format);
    let width = size.width() as usize;
    let (pixels, ink) = frame.parts_mut();
    for (n, &[r, g, b, a]) in rgba.iter().enumerate().filter(|(_, rgba)| rgba[3] > 0) {
        let product = |c: u8| match alpha {
            Alpha::Straight => c,
            Alpha::Premultiplied => u8::try_from(u32::from(c) * u32::from(a) / 255).unwrap(),
        };
        pixels[n] = format.pixel([product(r), product(g), product(b), a]);
        mark(ink.row_mut(n / width), &(n % width..n % width + 1));
    }
    frame
}

/// Pixels of every kind: clear, opaque and between, in runs, alike for the same seed.
fn pixels(size: Size, seed: u32) -> Vec<[u8; 4]> {
    let mut state = u64::from(seed) << 32 | 0x9e37_79b9;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        u32::try_from(state >> 32).unwrap()
    };
    let mut pixels = Vec::new();
    let count = size.frame_bytes() / 4;
    while pixels.len() < count {
        let (kind, length) = (next() % 4, next() % 40);
        for _ in 0..length {
            let [r, g, b, a] = next().to_le_bytes();
            pixels.push(match kind {
                0 | 1 => [0; 4],
                2 => [r, g, b, 255],
                _ => [r, g, b, a],
            });
        }
    }
    pixels.truncate(count);
    pixels
}

fn converted<'a>(picture: impl Into<Picture<'a>>, format: VideoFormat, range: Range) -> VideoFrame {
    let picture = picture.into();
    let mut video = VideoFrame::new(picture.size, format, range);
    video.convert(picture);
    video
}

/// The samples of a plane as numbers.
fn samples(video: &VideoFrame, plane: usize) -> Vec<u32> {
    let (bytes, _) = video.plane(plane);
    match video.format.bits() {
        8 => bytes.iter().copied().map(u32::from).collect(),
        _ => {
            let samples = bytes.as_chunks::<2>().0.iter();
            samples
                .map(|sample| u32::from(u16::from_le_bytes(*sample)))
                .collect()
        }
    }
}

/// Y', Cb, Cr of BT.709-6 (3.2 to 3.4), before rounding.
fn exact([r, g, b]: [u8; 3], bits: u32, range: Range) -> [f64; 3] {
    let [r, g, b] = [r, g, b].map(|level| f64::from(level) / 255.0);
    let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let (cb, cr) = ((b - y) / 1.8556, (r - y) / 1.5748);
    let unit = f64::from(1 << (bits - 8));
    let most = f64::from((1 << bits) - 1);
    match range {
        Range::Limited => [
            (219.0 * y + 16.0) * unit,
            (224.0 * cb + 128.0) * unit,
            (224.0 * cr + 128.0) * unit,
        ],
        Range::Full => [
            most * y,
            (most * cb + 128.0 * unit).min(most),
            (most * cr + 128.0 * unit).min(most),
        ],
    }
}

#[test]
fn luma_and_chroma_are_the_nearest_levels_of_bt_709() {
    let levels = [0, 1, 2, 63, 127, 128, 191, 254, 255_u8];
    let mut colours = pixels(size((200, 100)), 1);
    for r in levels {
        for g in levels {
            colours.extend(levels.map(|b| [r, g, b, 255]));
        }
    }
    colours.iter_mut().for_each(|pixel| pixel[3] = 255);
    let size = size((u32::try_from(colours.len()).unwrap() / 4, 4));
    colours.truncate(size.frame_bytes() / 4);
    for alpha in [Alpha::Straight, Alpha::Premultiplied] {
        let frame = frame(size, alpha, PixelFormat::Argb, &colours);
        for range in RANGES {
            for format in [VideoFormat::Yuv444p, VideoFormat::Yuv444p10le] {
                let video = converted(&frame, format, range);
                let planes = [0, 1, 2].map(|plane| samples(&video, plane));
                for (n, &[r, g, b, _]) in colours.iter().enumerate() {
                    let exact = exact([r, g, b], format.bits(), range);
                    for (plane, exact) in planes.iter().zip(exact) {
                        let off = f64::from(plane[n]) - exact;
                        assert!(off.abs() < 0.51, "{format} {range} {r},{g},{b}: {off}");
                    }
                }
            }
        }
    }
}

#[test]
fn black_white_and_clear_are_what_the_recommendation_says() {
    let size = size((2, 2));
    let levels = |format: VideoFormat, range, pixel: [u8; 4]| {
        let frame = frame(size, Alpha::Straight, PixelFormat::Rgba, &[pixel; 4]);
        let video = converted(&frame, format, range);
        let planes = 0..format.planes(size).len();
        planes
            .map(|plane| samples(&video, plane)[0])
            .collect::<Vec<_>>()
    };
    let (white, black) = ([255; 4], [0, 0, 0, 255]);
    let (limited, full) = (Range::Limited, Range::Full);
    assert_eq!(
        levels(VideoFormat::Yuva420p, limited, white),
        [235, 128, 128, 255]
    );
    assert_eq!(
        levels(VideoFormat::Yuva420p, limited, black),
        [16, 128, 128, 255]
    );
    assert_eq!(
        levels(VideoFormat::Yuva420p, limited, [0; 4]),
        [16, 128, 128, 0]
    );
    assert_eq!(
        levels(VideoFormat::Yuva444p, full, white),
        [255, 128, 128, 255]
    );
    assert_eq!(
        levels(VideoFormat::Yuva422p10le, limited, white),
        [940, 512, 512, 1023]
    );
    assert_eq!(
        levels(VideoFormat::Yuva422p10le, limited, [0; 4]),
        [64, 512, 512, 0]
    );
    assert_eq!(
        levels(VideoFormat::Yuv420p10le, full, white),
        [1023, 512, 512]
    );
    assert_eq!(
        levels(VideoFormat::Yuv444p, limited, [0, 0, 255, 255]),
        [32, 240, 118]
    );
    assert_eq!(
        levels(VideoFormat::Yuv444p, limited, [255, 0, 0, 255]),
        [63, 102, 240]
    );
    assert_eq!(
        levels(VideoFormat::Yuv444p, full, [0, 0, 255, 255])[1],
        255,
        "no wrap"
    );
}

#[test]
fn greys_and_alpha_are_the_nearest_level_of_every_scale() {
    let size = size((256, 1));
    let of = |pixel: fn(u8) -> [u8; 4]| {
        let pixels: Vec<_> = (0..=255).map(pixel).collect();
        frame(size, Alpha::Straight, PixelFormat::Bgra, &pixels)
    };
    let (greys, alphas) = (of(|v| [v, v, v, 255]), of(|a| [255, 0, 9, a]));
    let level = |frame: &Frame, format, range, plane| {
        let video = converted(frame, format, range);
        samples(&video, plane)
    };
    let nearest = |scale: u32| (0..=255).map(move |v| (2 * v * scale + 255) / 510);
    let (limited, full) = (Range::Limited, Range::Full);
    let (eight, ten) = (VideoFormat::Gray, VideoFormat::Gray10le);
    assert!(level(&greys, eight, full, 0).into_iter().eq(0..=255));
    assert!(
        level(&greys, eight, limited, 0)
            .into_iter()
            .eq(nearest(219).map(|v| 16 + v))
    );
    assert!(level(&greys, ten, full, 0).into_iter().eq(nearest(1023)));
    assert!(
        level(&greys, ten, limited, 0)
            .into_iter()
            .eq(nearest(876).map(|v| 64 + v))
    );
    for range in RANGES {
        let alpha = level(&alphas, VideoFormat::Yuva444p10le, range, 3);
        assert!(alpha.into_iter().eq(nearest(1023)), "alpha has no range");
    }
}

/// R, G, B, A in whole numbers, one sample after another: the truth about vectors.
fn yuva420p(size: Size, rgba: &[[u8; 4]], weighted: bool) -> Vec<u8> {
    let fixed = |offset: i64, of: [i64; 3], rgb: [i64; 3], weight: i64| {
        let dot: i64 = of.iter().zip(rgb).map(|(c, v)| c * v).sum();
        let level = offset + (dot + (weight << 15)).div_euclid(weight << 16);
        u8::try_from(level.clamp(0, 255)).unwrap()
    };
    let (width, height) = (size.width() as usize, size.height() as usize);
    let [mut luma, mut cb, mut cr] = [vec![], vec![], vec![]];
    for [r, g, b, _] in rgba {
        luma.push(fixed(
            16,
            [11_966, 40_254, 4_064],
            [*r, *g, *b].map(i64::from),
            1,
        ));
    }
    for y in (0..height).step_by(2) {
        for x in (0..width).step_by(2) {
            let (mut sum, mut total) = ([0; 3], 0);
            for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let (y, x) = ((y + dy).min(height - 1), (x + dx).min(width - 1));
                let [r, g, b, a] = rgba[y * width + x].map(i64::from);
                let share = if weighted { a } else { 1 };
                sum = [sum[0] + r * share, sum[1] + g * share, sum[2] + b * share];
                total += share;
            }
            let total = total.max(1);
            cb.push(fixed(128, [-6_596, -22_189, 28_784], sum, total));
            cr.push(fixed(128, [28_784, -26_145, -2_639], sum, total));
        }
    }
    [luma, cb, cr, rgba.iter().map(|rgba| rgba[3]).collect()].concat()
}

#[test]
fn samples_are_the_scalar_ones_at_every_level() {
    for (seed, sides) in (0..).zip(SIZES.into_iter().chain([(640, 360)])) {
        let size = size(sides);
        for alpha in [Alpha::Straight, Alpha::Premultiplied] {
            let frame = frame(size, alpha, PixelFormat::Bgra, &pixels(size, seed));
            let rgba: Vec<_> = frame
                .pixels()
                .iter()
                .map(|p| PixelFormat::Bgra.rgba(*p))
                .collect();
            let expected = yuva420p(size, &rgba, alpha == Alpha::Straight);
            for level in SimdLevel::available() {
                let mut video = VideoFrame::new(size, VideoFormat::Yuva420p, Range::Limited);
                video.level = level;
                video.convert(&frame);
                assert!(video.as_bytes() == expected, "{size} {alpha} {level}");
            }
        }
    }
}

/// Those are where floats would go wrong.
#[test]
fn chroma_that_is_half_way_between_two_levels_is_the_upper_one() {
    let mut colours = Vec::new();
    for (r, g, b) in (0..=255_u8).flat_map(|r| (0..=255).map(move |g| (r, g, 255 - r))) {
        for b in [b, g, g / 2, 128] {
            let dot = 28_784 * i64::from(r) - 26_145 * i64::from(g) - 2_639 * i64::from(b);
            if dot.rem_euclid(1 << 16) == 1 << 15 {
                // Of weights that divide nothing.
                colours.extend([3, 85, 251, 255].map(|a| [r, g, b, a]));
            }
        }
    }
    assert!(colours.len() >= 8, "{colours:?}");
    let size = size((2, 2 * u32::try_from(colours.len()).unwrap()));
    let pixels: Vec<_> = colours.iter().flat_map(|rgba| [*rgba; 4]).collect();
    let frame = frame(size, Alpha::Straight, PixelFormat::Rgba, &pixels);
    let video = converted(&frame, VideoFormat::Yuva420p, Range::Limited);
    assert!(video.as_bytes() == yuva420p(size, &pixels, true));
}

#[test]
fn rgb_formats_hold_the_colours_in_their_order() {
    for sides in SIZES {
        let size = size(sides);
        let pixels = pixels(size, 7);
        let rgba: Vec<_> = pixels
            .iter()
            .map(|p| if p[3] > 0 { *p } else { [0; 4] })
            .collect();
        for from in PixelFormat::ALL {
            let frame = frame(size, Alpha::Straight, from, &rgba);
            let of = |channels: &[usize]| {
                let levels = rgba.iter().flat_map(|p| channels.iter().map(|c| p[*c]));
                levels.collect::<Vec<_>>()
            };
            let planar = [of(&[1]), of(&[2]), of(&[0]), of(&[3])].concat();
            let wide: Vec<_> = of(&[0, 1, 2, 3]).into_iter().flat_map(|c| [c, c]).collect();
            for (format, expected) in [
                (VideoFormat::Packed(PixelFormat::Bgra), of(&[2, 1, 0, 3])),
                (VideoFormat::Packed(PixelFormat::Argb), of(&[3, 0, 1, 2])),
                (VideoFormat::Rgb24, of(&[0, 1, 2])),
                (VideoFormat::Bgr24, of(&[2, 1, 0])),
                (VideoFormat::Gbrap, planar),
                (VideoFormat::Rgba64le, wide),
            ] {
                let video = converted(&frame, format, Range::Limited);
                assert!(video.as_bytes() == expected, "{from} to {format}, {size}");
            }
        }
    }
}

proptest! {
    #[test]
    fn what_was_shown_before_leaves_no_trace(
        sides in prop::sample::select(&SIZES),
        format in prop::sample::select(&VideoFormat::ALL),
        range in prop::sample::select(&RANGES),
        bleed in any::<bool>(),
        steps in prop::collection::vec((any::<u32>(), 0..4_u8, 0..6_usize), 2..7),
    ) {
        let size = size(sides);
        let mut kept = VideoFrame::new(size, format, range).with_bleed(bleed);
        for (seed, kind, from) in steps {
            let alpha = if kind == 1 { Alpha::Premultiplied } else { Alpha::Straight };
            let mut pixels = pixels(size, seed);
            // Some frames are mostly clear.
            let shown = pixels.len() >> (2 * from);
            pixels[shown..].fill([0; 4]);
            let order = PixelFormat::ALL[from % 4];
            let frame = frame(size, alpha, order, &pixels);
            // As opaque pictures are.
            let ground = [0, 177, 64, 255];
            let over = pixels.iter().map(|&[r, g, b, a]| {
                order.pixel(if a > 0 { [r, g, b, 255] } else { ground })
            });
            let over: Vec<_> = over.collect();
            let picture = match kind {
                2 => Picture {
                    alpha: Alpha::Premultiplied,
                    pixels: &over,
                    ground,
                    ..Picture::from(&frame)
                },
                _ => Picture::from(&frame),
            };
            kept.convert(picture);
            let mut fresh = VideoFrame::new(size, format, range).with_bleed(bleed);
            fresh.convert(picture);
            prop_assert!(kept.as_bytes() == fresh.as_bytes(), "{} of kind {}", format, kind);
        }
    }
}

#[test]
fn bleed_gives_clear_pixels_the_colour_beside_them_and_changes_no_other() {
    let size = size((161, 91));
    let (red, blue) = ([200, 16, 8, 255], [10, 30, 220, 255]);
    // All of the gap is in one block.
    let patches = |n: usize| match (n % 161, n / 161) {
        (70..82, 40..50) => red,
        (92..100, 40..50) => blue,
        _ => [0; 4],
    };
    let pixels: Vec<_> = (0..161 * 91).map(patches).collect();
    let frame = frame(size, Alpha::Straight, PixelFormat::Bgra, &pixels);
    let plain = converted(&frame, VideoFormat::Yuva420p, Range::Limited);
    let mut bled = VideoFrame::new(size, VideoFormat::Yuva420p, Range::Limited).with_bleed(true);
    bled.convert(&frame);
    assert_eq!(plain.plane(3), bled.plane(3), "alpha is as it was");
    let at = |video: &VideoFrame, x: usize, y: usize| {
        [(0, x, y), (1, x / 2, y / 2), (2, x / 2, y / 2)].map(|(plane, x, y)| {
            let (bytes, row) = video.plane(plane);
            bytes[y * row + x]
        })
    };
    let [red, blue] = [at(&plain, 75, 45), at(&plain, 95, 45)];
    for (x, y) in [
        (75, 45),
        (69, 45),
        (64, 45),
        (75, 34),
        (75, 55),
        (82, 45),
        (85, 45),
    ] {
        assert_eq!(at(&bled, x, y), red, "{x},{y}");
    }
    for (x, y) in [(95, 45), (91, 45), (88, 45), (105, 45), (95, 55), (101, 53)] {
        assert_eq!(at(&bled, x, y), blue, "{x},{y}");
    }
    for (x, y) in [(61, 45), (75, 31), (120, 45)] {
        assert_eq!(
            at(&bled, x, y),
            [16, 128, 128],
            "far off it is black: {x},{y}"
        );
    }
    let premultiplied = self::frame(size, Alpha::Premultiplied, PixelFormat::Rgba, &pixels);
    bled.convert(&premultiplied);
    assert_eq!(
        at(&bled, 69, 45)[0],
        16,
        "black is right where colour is premultiplied"
    );
}

#[test]
fn bleed_paints_what_next_to_nothing_shows_of_as_what_is_beside_it() {
    let size = size((32, 2));
    let pixels: Vec<_> = (0..64_usize)
        .map(|n| match n % 32 {
            4..12 => [0, 128, 0, 255],
            12..14 => [255, 0, 255, 7],
            20..24 => [0, 0, 255, 1],
            28..32 => [255, 0, 255, 8],
            _ => [0; 4],
        })
        .collect();
    let frame = frame(size, Alpha::Straight, PixelFormat::Rgba, &pixels);
    let plain = converted(&frame, VideoFormat::Yuva444p, Range::Limited);
    let mut bled = VideoFrame::new(size, VideoFormat::Yuva444p, Range::Limited).with_bleed(true);
    bled.convert(&frame);
    assert_eq!(plain.plane(3), bled.plane(3), "alpha is as it was");
    let [plain, bled] = [&plain, &bled].map(|video| samples(video, 0));
    assert_eq!(bled[12..14], [plain[4]; 2], "it would be magenta");
    assert_eq!(bled[20..24], plain[20..24], "nothing stronger is near");
    assert_eq!(bled[28..32], plain[28..32], "that is not faint");
}

#[test]
fn ranges_have_names_and_others_are_refused() {
    for range in RANGES {
        assert_eq!(range.to_string().parse(), Ok(range));
    }
    assert_eq!("tv".parse(), Ok(Range::Limited));
    assert_eq!("pc".parse(), Ok(Range::Full));
    let error = "wide".parse::<Range>().unwrap_err();
    assert!(
        error.contains("\"wide\"") && error.contains("limited"),
        "{error}"
    );
}

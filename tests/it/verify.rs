//! `floatup verify-alpha` on captures of the test chart that the real ffmpeg made.

use std::fs;
use std::path::Path;
use std::process::Output;

use floatup::chart::Chart;
use floatup::frame::{Alpha, Frame, PixelFormat, Size};
use image::RgbaImage;

use crate::floatup::{run, stderr};
use crate::tree::root;

/// The chart's frame of a number.
fn chart(size: &str, alpha: Alpha, index: u64) -> Frame {
    let size: Size = size.parse().unwrap();
    let mut frame = Frame::new(size, alpha, PixelFormat::Rgba);
    Chart::new(size).unwrap().draw(index, &mut frame);
    frame
}

fn image(frame: &Frame) -> RgbaImage {
    let size = frame.size();
    let bytes = frame.as_bytes().to_vec();
    RgbaImage::from_raw(size.width(), size.height(), bytes).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "it is this test's own switch")]
fn update_wanted() -> bool {
    std::env::var_os("FLOATUP_UPDATE_CHART").is_some()
}

#[test]
fn the_chart_is_the_picture_in_the_documents() {
    let path = root().join("docs/chart.png");
    let drawn = image(&chart("640x360", Alpha::Straight, 1_234_567));
    if update_wanted() {
        drawn.save(&path).unwrap();
        panic!("docs/chart.png is made anew: look at it, and run without FLOATUP_UPDATE_CHART");
    }
    let kept = image::open(&path).unwrap().into_rgba8();
    let differs = drawn
        .enumerate_pixels()
        .find(|(x, y, pixel)| *pixel != kept.get_pixel(*x, *y));
    assert_eq!(drawn.dimensions(), kept.dimensions());
    assert_eq!(differs, None, "the first pixel that differs");
}

/// What it says on stdout, and what it ends with.
fn verify(folder: &Path, args: &[&str]) -> (String, Output) {
    let output = run(folder, &[&["verify-alpha"], args].concat());
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    (said, output)
}

/// The command ends with success, and says all of `parts`.
fn right(folder: &Path, args: &[&str], parts: &[&str]) {
    let (said, output) = verify(folder, args);
    let errors = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {errors}{said}");
    says(
        args,
        &said,
        &[parts, &["verdict  as it was drawn"]].concat(),
    );
    assert!(!said.contains("wrong"), "{said}");
}

/// The command ends with exit code 1, and its report says all of `parts`.
fn wrong(folder: &Path, args: &[&str], parts: &[&str]) {
    let (said, output) = verify(folder, args);
    let errors = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}{said}");
    says(args, &said, &[parts, &["wrong    ", "hint     "]].concat());
    assert!(errors.contains("is not as it was drawn"), "{errors}");
}

/// The command ends with exit code 1, no report, and an error that says all of `parts`.
fn refused(folder: &Path, args: &[&str], parts: &[&str]) {
    let (said, output) = verify(folder, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    assert_eq!(said, "", "{args:?}");
    says(args, &stderr(&output), parts);
}

fn says(args: &[&str], said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{args:?}: no {part:?} in\n{said}");
    }
}

#[test]
fn a_png_is_read_without_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    let save = |name: &str, image: &RgbaImage| image.save(folder.path().join(name)).unwrap();
    let straight = image(&chart("640x360", Alpha::Straight, 77));
    save("straight.png", &straight);
    let parts = ["survived, straight", "frame    77\n", "image/png Rgba8"];
    right(folder.path(), &["straight.png"], &parts);
    save("straight.webp", &straight);
    right(
        folder.path(),
        &["straight.webp"],
        &["survived, straight", "image/webp"],
    );
    save(
        "small.png",
        &image(&chart("320x180", Alpha::Premultiplied, 78)),
    );
    right(
        folder.path(),
        &["small.png"],
        &["survived, premultiplied", "frame    78\n"],
    );
    let larger = image::imageops::FilterType::Triangle;
    save(
        "large.png",
        &image::imageops::resize(&straight, 1_920, 1_080, larger),
    );
    right(
        folder.path(),
        &["large.png"],
        &["survived, straight", "size     1920x1080"],
    );

    // What a browser's or OBS's screenshot of it over green is.
    let mut over = straight.clone();
    for pixel in over.pixels_mut() {
        let [r, g, b, a] = pixel.0.map(u32::from);
        let mix = |c: u32, below: u32| {
            ((c * a + below * (255 - a) + 127) / 255)
                .try_into()
                .unwrap()
        };
        pixel.0 = [mix(r, 0), mix(g, 160), mix(b, 0), 255];
    }
    save("over.png", &over);
    let lost = ["nothing in it is clear", "put over #00a000", "--background"];
    wrong(folder.path(), &["over.png"], &lost);
    right(
        folder.path(),
        &["over.png", "--background", "#00a000"],
        &["put over #00a000"],
    );
    wrong(
        folder.path(),
        &["over.png", "--background", "#00ff00"],
        &["no known mistake"],
    );
    let table = verify(folder.path(), &["over.png", "--background=#00a000"]).0;
    assert!(
        table.contains("W128        128 208 128 255    128 208 128 255"),
        "{table}"
    );
}

#[test]
fn what_is_no_capture_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    refused(
        folder.path(),
        &["none.mov"],
        &["cannot read none.mov", "No such file"],
    );
    refused(folder.path(), &["."], &["cannot read ."]);
    fs::write(
        folder.path().join("cut.png"),
        b"\x89PNG\r\n\x1a\nand no more",
    )
    .unwrap();
    refused(folder.path(), &["cut.png"], &["cut.png"]);
    RgbaImage::new(640, 360)
        .save(folder.path().join("clear.png"))
        .unwrap();
    let parts = [
        "clear.png: no chart found in 1 picture",
        "whole and upright",
    ];
    refused(folder.path(), &["clear.png"], &parts);
    #[cfg(not(feature = "ffmpeg"))]
    {
        fs::write(folder.path().join("some.mov"), "some bytes").unwrap();
        let parts = ["some.mov", "without FFmpeg's libraries", "PNG"];
        refused(folder.path(), &["some.mov"], &parts);
    }
    for bad in ["ff00ff0", "#ff", "greenish", "#+f00ff", ""] {
        let (_, output) = verify(folder.path(), &["clear.png", "--background", bad]);
        assert_eq!(output.status.code(), Some(2), "{bad:?}");
        let error = stderr(&output);
        says(
            &[bad],
            &error,
            &["--background", "expected an opaque one such as #00b140"],
        );
    }
}

#[cfg(feature = "ffmpeg")]
mod videos {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::path::PathBuf;
    use std::process::Stdio;

    use super::*;
    use crate::media::tool;

    /// Three frames of the chart, numbers 41 to 43, after a clear one, as ffmpeg makes a file of
    /// them with these arguments.
    fn capture(folder: &Path, alpha: Alpha, name: &str, arguments: &[&str]) -> PathBuf {
        let mut ffmpeg = tool("ffmpeg")
            .current_dir(folder)
            .args([
                "-f", "rawvideo", "-pix_fmt", "rgba", "-s", "640x360", "-r", "25",
            ])
            .args(["-i", "-"])
            .args(arguments)
            .arg("-y")
            .arg(name)
            .stdin(Stdio::piped())
            .spawn()
            .expect("apt-get install ffmpeg");
        let mut frames = vec![0; 640 * 360 * 4];
        for index in 41..44 {
            frames.extend_from_slice(chart("640x360", alpha, index).as_bytes());
        }
        ffmpeg.stdin.take().unwrap().write_all(&frames).unwrap();
        assert!(ffmpeg.wait().unwrap().success(), "{name}: {arguments:?}");
        folder.join(name)
    }

    const FIRST: &str = "frame    41\n";
    const QTRLE: &[&str] = &["-c:v", "qtrle", "-pix_fmt", "argb"];
    const TAGS: &[&str] = &[
        "-colorspace",
        "bt709",
        "-color_primaries",
        "bt709",
        "-color_trc",
        "bt709",
        "-color_range",
        "tv",
    ];

    #[test]
    fn files_with_alpha_are_right() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let bt709 = &[
            "-vf",
            "scale=out_color_matrix=bt709:flags=accurate_rnd,setparams=colorspace=bt709",
        ][..];
        let prores = [
            "-c:v",
            "prores_ks",
            "-profile:v",
            "4444",
            "-pix_fmt",
            "yuva444p10le",
        ];
        let vp9 = [
            "-c:v",
            "libvpx-vp9",
            "-pix_fmt",
            "yuva420p",
            "-crf",
            "24",
            "-b:v",
            "0",
        ];
        let vp8 = [
            "-c:v", "libvpx", "-pix_fmt", "yuva420p", "-crf", "4", "-b:v", "8M",
        ];
        let alt_ref = &["-auto-alt-ref", "0"][..];
        let files: [(&str, Vec<&str>, &str); 8] = [
            ("a.mov", QTRLE.to_vec(), "qtrle argb\n"),
            (
                "a.mkv",
                vec!["-c:v", "ffv1", "-pix_fmt", "bgra"],
                "ffv1 bgra\n",
            ),
            (
                "a.nut",
                vec!["-c:v", "rawvideo", "-pix_fmt", "rgba"],
                "rawvideo rgba\n",
            ),
            ("a.apng", vec![], "apng rgba\n"),
            (
                "p.mov",
                [&prores, bt709, TAGS].concat(),
                "prores yuva444p12le, BT.709, ",
            ),
            (
                "9.webm",
                [&vp9, bt709, alt_ref, TAGS].concat(),
                "libvpx-vp9 yuva420p, BT.709, limited range\n",
            ),
            (
                "8.webm",
                [&vp8, bt709, alt_ref, TAGS].concat(),
                "libvpx yuva420p, BT.709, limited range\n",
            ),
            (
                "untagged.webm",
                [&vp9[..], alt_ref].concat(),
                "libvpx-vp9 yuva420p, no matrix tag, taken for BT.601, ",
            ),
        ];
        for (name, arguments, format) in files {
            for (alpha, kind) in [
                (Alpha::Straight, "survived, straight:"),
                (Alpha::Premultiplied, "survived, premultiplied:"),
            ] {
                capture(folder, alpha, name, &arguments);
                let parts = [kind, FIRST, format, "picture 1\n", "colours  right"];
                right(folder, &[name], &parts);
            }
        }
    }

    #[test]
    fn a_file_that_was_scaled_is_right() {
        let folder = tempfile::tempdir().unwrap();
        for size in ["1280:720", "426:240", "1000:562"] {
            let scale = format!("scale={size}:flags=area");
            let arguments = [QTRLE, &["-vf", &scale]].concat();
            capture(folder.path(), Alpha::Straight, "scaled.mov", &arguments);
            let size = format!("size     {}\n", size.replace(':', "x"));
            right(folder.path(), &["scaled.mov"], &[&size, FIRST, "straight"]);
        }
    }

    #[test]
    fn a_wrong_matrix_or_range_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mistakes = [
            ("bt601", "tv", "bt709", "tv", "BT.601 read as BT.709"),
            ("bt709", "tv", "smpte170m", "tv", "BT.709 read as BT.601"),
            ("bt709", "tv", "unknown", "tv", "BT.709 read as BT.601"),
            ("bt709", "pc", "bt709", "tv", "full range read as limited"),
            ("bt709", "tv", "bt709", "pc", "limited range read as full"),
            (
                "bt601",
                "tv",
                "bt709",
                "pc",
                "BT.601 read as BT.709, and limited range read as full",
            ),
        ];
        let prores = ["-c:v", "prores_ks", "-profile:v", "4444"];
        for (matrix, range, tag, range_tag, mistake) in mistakes {
            let convert = format!(
                "scale=out_color_matrix={matrix}:out_range={range}:flags=accurate_rnd,\
                 format=yuva444p,setparams=colorspace={tag}:range={range_tag}"
            );
            let ffv1 = ["-vf", &convert, "-c:v", "ffv1"];
            for alpha in [Alpha::Straight, Alpha::Premultiplied] {
                capture(folder.path(), alpha, "wrong.mkv", &ffv1);
                let kind = format!("survived, {alpha}:");
                let colours = format!("colours  {mistake}: at most ");
                wrong(folder.path(), &["wrong.mkv"], &[&kind, &colours, FIRST]);
            }
            if (range, range_tag) == ("tv", "tv") && tag != "unknown" {
                let prores = [&["-vf", &convert], &prores[..], &["-colorspace", tag]].concat();
                capture(folder.path(), Alpha::Straight, "wrong.mov", &prores);
                let colours = format!("colours  {mistake}: at most ");
                wrong(folder.path(), &["wrong.mov"], &["straight", &colours]);
            }
        }
    }

    #[test]
    fn colour_that_was_multiplied_wrongly_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (alpha, filter, kind) in [
            (
                Alpha::Premultiplied,
                "premultiply",
                "survived, multiplied twice:",
            ),
            (
                Alpha::Straight,
                "unpremultiply",
                "survived, divided by alpha once too often:",
            ),
        ] {
            let filter = format!("format=gbrap,{filter}=inplace=1");
            let arguments = ["-vf", &filter, "-c:v", "ffv1"];
            capture(folder.path(), alpha, "wrong.mkv", &arguments);
            wrong(
                folder.path(),
                &["wrong.mkv"],
                &[kind, "colours  right", FIRST],
            );
        }
        // And put right again.
        let filter = "format=gbrap,unpremultiply=inplace=1";
        let arguments = ["-vf", filter, "-c:v", "ffv1"];
        capture(folder.path(), Alpha::Premultiplied, "right.mkv", &arguments);
        right(folder.path(), &["right.mkv"], &["survived, straight"]);
    }

    #[test]
    fn alpha_that_is_lost_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let h264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "12"];
        capture(folder.path(), Alpha::Straight, "lost.mp4", &h264);
        let parts = [
            "lost (the file has none): straight colours without it",
            "colours  right",
            "no matrix tag",
            FIRST,
        ];
        wrong(folder.path(), &["lost.mp4"], &parts);
        capture(folder.path(), Alpha::Premultiplied, "lost.mp4", &h264);
        let parts = [
            "put over #000000, or is premultiplied and has lost its alpha",
            FIRST,
        ];
        wrong(folder.path(), &["lost.mp4"], &parts);
        // Opaque in a file that could have alpha.
        let opaque = [&["-vf", "format=rgb24"], QTRLE].concat();
        capture(folder.path(), Alpha::Straight, "opaque.mov", &opaque);
        wrong(
            folder.path(),
            &["opaque.mov"],
            &["nothing in it is clear): straight colours"],
        );
        // VP9's alpha, lost by a reader that doesn't know it.
        let arguments = [
            "-c:v",
            "libvpx-vp9",
            "-pix_fmt",
            "yuva420p",
            "-auto-alt-ref",
            "0",
        ];
        let webm = capture(folder.path(), Alpha::Straight, "a.webm", &arguments);
        let mut reader = tool("ffmpeg");
        reader.args(["-c:v", "vp9", "-i"]).arg(&webm);
        reader
            .args(["-c:v", "ffv1", "-y"])
            .arg(folder.path().join("read.mkv"));
        assert!(reader.status().unwrap().success());
        let parts = ["lost (the file has none): straight colours"];
        wrong(folder.path(), &["read.mkv"], &parts);
    }

    /// The chart over one colour, as ffmpeg's overlay mixes it.
    fn overlay(folder: &Path, alpha: Alpha, colour: &str, options: &str, last: &[&str]) {
        let graph = format!(
            "color={colour}:s=640x360:r=25[below];[below][0]overlay=format=rgb{options}:shortest=1"
        );
        let arguments = [&["-filter_complex", &graph], last].concat();
        capture(folder, alpha, "over.mkv", &arguments);
    }

    #[test]
    fn a_chart_over_a_background_is_told_with_its_colour() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let lossless = ["-c:v", "ffv1"];
        let video = ["-c:v", "libx264", "-crf", "12", "-pix_fmt", "yuv420p"];
        for last in [&lossless[..], &video] {
            overlay(folder, Alpha::Straight, "magenta", "", last);
            let file = ["over.mkv", "--background", "#ff00ff"];
            right(
                folder,
                &file,
                &["put over #ff00ff", "colours  right", FIRST],
            );
            let (said, output) = verify(folder, &["over.mkv"]);
            assert_eq!(output.status.code(), Some(1));
            says(
                &[],
                &said,
                &["alpha is lost: the picture was put over #f", "--background"],
            );
        }
        wrong(
            folder,
            &["over.mkv", "--background", "#00ff00"],
            &["wrong    no known mistake"],
        );

        overlay(folder, Alpha::Premultiplied, "magenta", "", &lossless);
        let parts = ["put over #ff00ff, multiplied twice", "too dark", FIRST];
        wrong(folder, &["over.mkv", "--background", "#ff00ff"], &parts);
        wrong(folder, &["over.mkv"], &parts);

        overlay(
            folder,
            Alpha::Premultiplied,
            "0x204060",
            ":alpha=premultiplied",
            &lossless,
        );
        right(
            folder,
            &["over.mkv", "--background", "#204060"],
            &["put over #204060\n"],
        );

        overlay(
            folder,
            Alpha::Straight,
            "0x204060",
            ":alpha=premultiplied",
            &lossless,
        );
        let parts = ["put over #204060, not multiplied", "too bright"];
        wrong(folder, &["over.mkv"], &parts);

        // Decoded wrongly, and then put over a background that is as it should be.
        let convert = "[0]scale=out_color_matrix=bt709,format=yuva444p,\
            setparams=colorspace=smpte170m,scale=in_color_matrix=bt601,format=gbrap[chart];\
            color=0x204060:s=640x360:r=25,format=gbrp[below];\
            [below][chart]overlay=format=gbrp:shortest=1";
        let arguments = ["-filter_complex", convert, "-c:v", "ffv1"];
        capture(folder, Alpha::Straight, "over.mkv", &arguments);
        let parts = ["put over #204060", "colours  BT.709 read as BT.601"];
        wrong(folder, &["over.mkv", "--background", "#204060"], &parts);
    }

    #[test]
    fn an_address_is_read_as_a_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = capture(folder.path(), Alpha::Straight, "a.mkv", &["-c:v", "ffv1"]);
        let bytes = fs::read(file).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/a.mkv", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
            socket.write_all(&[&head[..], &bytes].concat()).unwrap();
        });
        right(folder.path(), &[&address], &["survived, straight", FIRST]);
        server.join().unwrap();
        refused(
            folder.path(),
            &[&address],
            &["no picture or video that can be read", "refused"],
        );
    }

    #[test]
    fn what_shows_no_chart_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let make = |source: &str, name: &str| {
            let mut ffmpeg = tool("ffmpeg");
            ffmpeg
                .current_dir(folder)
                .args(["-f", "lavfi", "-i", source, "-y", name]);
            assert!(ffmpeg.status().unwrap().success());
        };
        make("testsrc2=s=640x360:d=1", "other.mkv");
        refused(
            folder,
            &["other.mkv"],
            &["no chart found in 25 pictures", "floatup's test chart"],
        );
        make("color=black:s=64x36:r=100:d=7", "long.mkv");
        refused(
            folder,
            &["long.mkv"],
            &["no chart found in the first 600 pictures"],
        );
        make("sine=d=1", "sound.wav");
        refused(folder, &["sound.wav"], &["sound.wav", "no video stream"]);
        for name in ["notes.txt", "notes.mov"] {
            fs::write(
                folder.join(name),
                "It was a dark and stormy night.\n".repeat(99),
            )
            .unwrap();
            refused(
                folder,
                &[name],
                &[name, "no picture or video that can be read"],
            );
        }
        fs::write(folder.join("empty.mov"), "").unwrap();
        refused(
            folder,
            &["empty.mov"],
            &["no picture or video that can be read"],
        );
        refused(
            folder,
            &["nosuch://x"],
            &["nosuch://x", "no picture or video"],
        );
    }
}

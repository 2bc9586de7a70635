//! Interlaced frames against progressive ones at twice the rate.

use std::fs;
use std::path::Path;

use crate::floatup::{run, stderr};

const SIZE: (usize, usize) = (161, 91);

/// Every reaction is there from the first field of a frame on.
const LOG: &str = "{\"at_ms\":0,\"reaction\":\"heart\"}
{\"at_ms\":160,\"reaction\":\"100\",\"count\":3}
{\"at_ms\":400,\"reaction\":\"fire\",\"count\":2}
";

fn render(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    fs::write(folder.join("log.ndjson"), LOG).unwrap();
    let fixed = ["render", "log.ndjson", "out.rgba", "--size", "161x91"];
    let output = run(folder, &[&fixed, arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    fs::read(folder.join("out.rgba")).unwrap()
}

#[test]
fn each_field_shows_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    for alpha in ["straight", "premultiplied"] {
        let render = |more: &[&str]| render(folder.path(), &[&["--alpha", alpha], more].concat());
        let whole = render(&["--fps", "50", "--frames", "120"]);
        let whole: Vec<&[u8]> = whole.chunks(SIZE.0 * SIZE.1 * 4).collect();
        for (scan, first) in [("tff", 0), ("bff", 1)] {
            let fields = render(&["--fps", "25", "--frames", "60", "--scan", scan]);
            let frames = fields.chunks(SIZE.0 * SIZE.1 * 4);
            assert_eq!(frames.len(), 60);
            let mut differ = 0;
            for (n, frame) in frames.enumerate() {
                for (y, row) in frame.chunks(SIZE.0 * 4).enumerate() {
                    let time = 2 * n + usize::from(y % 2 != first);
                    let expected = &whole[time][y * SIZE.0 * 4..][..SIZE.0 * 4];
                    assert!(row == expected, "{alpha} {scan}: frame {n}, row {y}");
                    differ += usize::from(row != &whole[2 * n][y * SIZE.0 * 4..][..SIZE.0 * 4]);
                }
            }
            assert!(differ > 100, "fields show what moves: {differ}");
        }
    }
}

//! How much of a pixel a layer's parallelogram covers.
//!
//! As Skia's analytic rasteriser has it: the area under straight edges whose corners lie on
//! quarters of a pixel row. That moves an edge by up to an eighth of a pixel, which shows where a
//! glyph reaches the edge of its layer. A rectangle that isn't turned keeps its edges.

/// The edges of a layer on the frame.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    corners: [(f64, f64); 4],
    edges: [Edge; 4],
}

impl Outline {
    /// The outline of a layer of `width` x `height` drawn through `matrix`.
    pub(super) fn new([a, b, c, d, e, f]: [f64; 6], width: f64, height: f64) -> Self {
        let turned = b != 0.0 || c != 0.0;
        let corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)].map(|(x, y)| {
            let (x, y) = (a * x + c * y + e, b * x + d * y + f);
            if turned { (x, snap(y)) } else { (x, y) }
        });
        // A matrix that mirrors turns the corners round.
        let side = (a * d - b * c).signum();
        let edges = std::array::from_fn(|i| Edge::new(corners[i], corners[(i + 1) % 4], side));
        Self { corners, edges }
    }

    /// The corners in frame pixels.
    pub(super) fn corners(&self) -> [(f64, f64); 4] {
        self.corners
    }

    /// The share of the pixel centred on `(x, y)` that is inside, `0.0..=1.0`.
    #[inline(always)]
    pub(super) fn coverage(&self, x: f64, y: f64) -> f64 {
        let [a, b, c, d] = &self.edges;
        a.coverage(x, y) * b.coverage(x, y) * c.coverage(x, y) * d.coverage(x, y)
    }

    /// Pixels of the row centred on `y` whose centres are not between these two are outside.
    #[inline(always)]
    pub(super) fn touched(&self, y: f64) -> (f64, f64) {
        self.between(y, |edge| -edge.reach)
    }

    /// Pixels of the row centred on `y` whose centres are between these two are inside wholly.
    #[inline(always)]
    pub(super) fn inside(&self, y: f64) -> (f64, f64) {
        self.between(y, |edge| edge.reach)
    }

    /// Between which two `x` on the line `y` every edge is at least so far outwards.
    #[inline(always)]
    fn between(&self, y: f64, depth: impl Fn(&Edge) -> f64) -> (f64, f64) {
        let (mut from, mut to) = (f64::NEG_INFINITY, f64::INFINITY);
        for edge in &self.edges {
            let left = depth(edge) - (y - edge.from.1) * edge.normal.1;
            match edge.normal.0 {
                slope if slope > 0.0 => from = from.max(edge.from.0 + left / slope),
                slope if slope < 0.0 => to = to.min(edge.from.0 + left / slope),
                _ if left > 0.0 => to = f64::NEG_INFINITY,
                _ => {}
            }
        }
        (from, to)
    }
}

/// To quarters, half up.
fn snap(y: f64) -> f64 {
    (y * 4.0 + 0.5).floor() / 4.0
}

/// A straight line with an inner side.
#[derive(Clone, Debug)]
struct Edge {
    from: (f64, f64),
    /// The unit normal, inwards; zero for an edge without length, which cuts nothing off.
    normal: (f64, f64),
    /// Half the width of the pixel square seen along the normal, and half that of the part in
    /// which the line crosses opposite sides.
    reach: f64,
    flat: f64,
}

impl Edge {
    fn new(from: (f64, f64), to: (f64, f64), side: f64) -> Self {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy);
        let normal = if length > 0.0 {
            (-dy / length * side, dx / length * side)
        } else {
            (0.0, 0.0)
        };
        let (long, short) = (
            normal.0.abs().max(normal.1.abs()),
            normal.0.abs().min(normal.1.abs()),
        );
        Self {
            from,
            normal,
            reach: (long + short) / 2.0,
            flat: (long - short) / 2.0,
        }
    }

    /// The share of a unit square around the point that lies on the inner side.
    #[inline(always)]
    fn coverage(&self, x: f64, y: f64) -> f64 {
        let inside = (x - self.from.0) * self.normal.0 + (y - self.from.1) * self.normal.1;
        let depth = inside.abs();
        if depth >= self.reach {
            // Without length nothing is outside.
            return if inside >= 0.0 { 1.0 } else { 0.0 };
        }
        let (long, short) = (self.reach + self.flat, self.reach - self.flat);
        let half = if depth <= self.flat {
            0.5 - depth / long
        } else {
            (self.reach - depth).powi(2) / (2.0 * long * short)
        };
        if inside >= 0.0 { 1.0 - half } else { half }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn an_upright_rectangle_covers_what_it_covers() {
        let outline = Outline::new([1.0, 0.0, 0.0, 1.0, 0.3, 0.9], 4.0, 3.0);
        assert!(near(outline.coverage(2.5, 2.5), 1.0));
        assert!(near(outline.coverage(0.5, 2.5), 0.7));
        assert!(near(outline.coverage(2.5, 0.5), 0.1));
        assert!(near(outline.coverage(0.5, 0.5), 0.07));
        assert!(near(outline.coverage(4.5, 3.5), 0.3 * 0.9));
        assert!(near(outline.coverage(5.5, 2.5), 0.0));
    }

    #[test]
    fn an_edge_covers_the_area_on_its_inner_side() {
        // Through the middle of the pixel at any angle it is one half.
        for degrees in [0.0, 3.0, 44.0, 45.0, 90.0, 200.0_f64] {
            let (sin, cos) = degrees.to_radians().sin_cos();
            let edge = Edge::new((5.0 - cos, 5.0 - sin), (5.0 + cos, 5.0 + sin), 1.0);
            assert!(near(edge.coverage(5.0, 5.0), 0.5), "{degrees}");
        }
        // The triangle that a diagonal cuts off: sides of one half.
        let edge = Edge::new((0.0, 0.5), (0.5, 0.0), -1.0);
        assert!(near(edge.coverage(0.5, 0.5), 0.125));
        let slope = Edge::new((0.0, 0.25), (1.0, 0.5), 1.0);
        assert!(near(slope.coverage(0.5, 0.5), 0.625));
    }

    #[test]
    fn corners_of_what_is_turned_lie_on_quarter_rows() {
        let outline = Outline::new([0.8, 0.6, -0.6, 0.8, 10.3, 20.37], 30.0, 20.0);
        assert!(
            outline
                .corners()
                .iter()
                .all(|(_, y)| near(y * 4.0, (y * 4.0).round()))
        );
        assert!(near(outline.corners()[0].1, 20.25) && near(outline.corners()[0].0, 10.3));
    }

    proptest! {
        #[test]
        fn what_is_between_agrees_with_the_coverage(
            degrees in 0.0..360.0_f64, width in 0.0..20.0_f64, height in 0.0..20.0_f64,
            e in -3.0..3.0_f64, f in -3.0..3.0_f64,
        ) {
            let (sin, cos) = degrees.to_radians().sin_cos();
            let outline = Outline::new([cos, sin, -sin, cos, e, f], width, height);
            for y in (-30..30).map(|y| f64::from(y) + 0.5) {
                let (touched, inside) = (outline.touched(y), outline.inside(y));
                for x in (-30..30).map(|x| f64::from(x) + 0.5) {
                    let coverage = outline.coverage(x, y);
                    let is_in = |(from, to): (f64, f64)| from < x && x < to;
                    prop_assert!(is_in(touched) || coverage < 1e-9, "{x}, {y}: {coverage}");
                    prop_assert!(!is_in(inside) || coverage > 1.0 - 1e-9, "{x}, {y}: {coverage}");
                }
            }
        }

        #[test]
        fn neighbours_on_both_sides_of_an_edge_make_one_pixel(
            degrees in 0.0..360.0_f64, x in -2.0..2.0_f64, y in -2.0..2.0_f64,
        ) {
            let (sin, cos) = degrees.to_radians().sin_cos();
            let (inner, outer) = (Edge::new((0.0, 0.0), (cos, sin), 1.0), Edge::new((cos, sin), (0.0, 0.0), 1.0));
            prop_assert!(near(inner.coverage(x, y) + outer.coverage(x, y), 1.0));
        }
    }
}

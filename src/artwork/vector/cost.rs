//! What it takes to draw an SVG tree, counted without drawing it.
//!
//! This is the walk that the renderer makes: what is clipped, masked, filtered or blended is drawn
//! into a layer of its own, and a clip path, mask or filter is worked out again for each use. Areas
//! are in canvases, so that the count holds at any size.

use resvg::tiny_skia::{Rect, Transform};
use resvg::usvg::filter::Kind;
use resvg::usvg::{ClipPath, Group, Mask, Node, Path, Tree};

use crate::artwork::ArtworkError;

/// More groups, paths and filters than this are refused.
const STEPS_MAX: u32 = 50_000;

/// More area than this to fill is refused, in canvases.
const AREA_MAX: f64 = 2_000.0;

/// More area than this at a time is refused, in canvases.
const LAYERS_MAX: f64 = 64.0;

/// The renderer cuts a layer to 5 times the canvas each way.
const LAYER_MAX: f64 = 25.0;

/// More crossings of edges than this are refused: a path's edges are sorted in every row.
const CROSSINGS_MAX: f64 = 4e8;

/// More dashes of strokes than this are refused.
const DASHES_MAX: f64 = 100_000.0;

/// Refuses a tree that takes too much to draw.
pub(super) fn check(tree: &Tree) -> Result<(), ArtworkError> {
    let mut cost = Cost {
        canvas: f64::from(tree.size().width()) * f64::from(tree.size().height()),
        steps: 0,
        area: 0.0,
        layers: 0.0,
        crossings: 0.0,
        dashes: 0.0,
    };
    cost.children(tree.root(), Transform::identity())
}

struct Cost {
    /// In the drawing's own units.
    canvas: f64,
    steps: u32,
    area: f64,
    /// Of what is open.
    layers: f64,
    crossings: f64,
    dashes: f64,
}

impl Cost {
    /// Counts a step over an area.
    fn step(&mut self, area: f64) -> Result<(), ArtworkError> {
        self.steps += 1;
        self.area += area;
        // Not a number is past a limit as well.
        let past = |value: f64, max: f64| value.is_nan() || value > max;
        Err(ArtworkError::Complex(if self.steps > STEPS_MAX {
            "too many shapes"
        } else if past(self.area, AREA_MAX) {
            "too much area to fill"
        } else if past(self.layers, LAYERS_MAX) {
            "too many layers over each other"
        } else if past(self.crossings, CROSSINGS_MAX) {
            "too many points in a path"
        } else if past(self.dashes, DASHES_MAX) {
            "too many dashes"
        } else {
            return Ok(());
        }))
    }

    /// A rectangle in canvases, at most `max`; that, too, where it is beyond numbers.
    fn share(&self, rect: Option<Rect>, max: f64) -> f64 {
        rect.map_or(max, |rect| {
            let area = f64::from(rect.width()) * f64::from(rect.height());
            (area / self.canvas).min(max)
        })
    }

    fn children(&mut self, group: &Group, transform: Transform) -> Result<(), ArtworkError> {
        for node in group.children() {
            match node {
                Node::Group(group) => self.group(group, transform)?,
                Node::Path(path) => self.path(path, transform)?,
                // Refused before.
                Node::Image(_) | Node::Text(_) => {}
            }
        }
        Ok(())
    }

    fn group(&mut self, group: &Group, transform: Transform) -> Result<(), ArtworkError> {
        let transform = transform.pre_concat(group.transform());
        if !group.should_isolate() {
            self.step(0.0)?;
            return self.children(group, transform);
        }
        let rect = group.layer_bounding_box().to_rect().transform(transform);
        let layer = self.share(rect, LAYER_MAX);
        let filters = filter_layers(group);
        let open = layer * (1.0 + filters);
        self.layers += open;
        // A blur takes several times as long as to fill its layers.
        self.step(open + 2.0 * layer * filters)?;
        self.children(group, transform)?;
        if let Some(clip) = group.clip_path() {
            self.clip(clip, transform, layer)?;
        }
        if let Some(mask) = group.mask() {
            self.mask(mask, transform, layer)?;
        }
        self.layers -= open;
        Ok(())
    }

    /// A clip path is drawn as large as what it clips.
    fn clip(
        &mut self,
        clip: &ClipPath,
        transform: Transform,
        layer: f64,
    ) -> Result<(), ArtworkError> {
        self.layers += 2.0 * layer;
        self.step(2.0 * layer)?;
        self.clip_children(clip.root(), transform.pre_concat(clip.transform()), layer)?;
        if let Some(clip) = clip.clip_path() {
            self.clip(clip, transform, layer)?;
        }
        self.layers -= 2.0 * layer;
        Ok(())
    }

    fn clip_children(
        &mut self,
        group: &Group,
        transform: Transform,
        layer: f64,
    ) -> Result<(), ArtworkError> {
        for node in group.children() {
            match node {
                Node::Group(group) => {
                    let transform = transform.pre_concat(group.transform());
                    let open = if group.clip_path().is_some() {
                        layer
                    } else {
                        0.0
                    };
                    self.layers += open;
                    self.step(open)?;
                    self.clip_children(group, transform, layer)?;
                    if let Some(clip) = group.clip_path() {
                        self.clip(clip, transform, layer)?;
                    }
                    self.layers -= open;
                }
                Node::Path(path) => self.path(path, transform)?,
                Node::Image(_) | Node::Text(_) => {}
            }
        }
        Ok(())
    }

    /// A mask is drawn as large as what it masks.
    fn mask(&mut self, mask: &Mask, transform: Transform, layer: f64) -> Result<(), ArtworkError> {
        self.layers += 2.0 * layer;
        self.step(2.0 * layer)?;
        self.children(mask.root(), transform)?;
        if let Some(mask) = mask.mask() {
            self.mask(mask, transform, layer)?;
        }
        self.layers -= 2.0 * layer;
        Ok(())
    }

    fn path(&mut self, path: &Path, transform: Transform) -> Result<(), ArtworkError> {
        let segments = f64::from(u32::try_from(path.data().len()).unwrap_or(u32::MAX));
        self.crossings += segments * segments / 2.0;
        if let Some(stroke) = path.stroke() {
            // An outline has an edge on either side, and joins between.
            self.crossings += 4.0 * segments * segments;
            if let Some(dashes) = stroke.dasharray() {
                let points = path.data().points().windows(2);
                let length: f64 = points.map(|p| f64::from(p[0].distance(p[1]))).sum();
                let pattern: f64 = dashes.iter().map(|&dash| f64::from(dash)).sum();
                let per_pattern = f64::from(u32::try_from(dashes.len()).unwrap_or(u32::MAX));
                self.dashes += length / pattern * per_pattern;
            }
        }
        let rect = path.stroke_bounding_box().transform(transform);
        self.step(self.share(rect, 1.0))
    }
}

/// How many more layers a group's filters take: each keeps the result of every step, and a step
/// works on a few copies.
fn filter_layers(group: &Group) -> f64 {
    let steps = group
        .filters()
        .iter()
        .flat_map(|filter| filter.primitives());
    let inputs = steps.map(|step| match &step.kind() {
        Kind::Merge(merge) => merge.inputs().len(),
        _ => 1,
    });
    let inputs = u32::try_from(inputs.sum::<usize>()).unwrap_or(u32::MAX);
    3.0 * f64::from(inputs)
}

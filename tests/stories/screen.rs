//! The customer's phone: reads the QR code off the till's screen, as a camera would.

/// Pixels of a module.
const SCALE: usize = 6;

/// What the code says. What is drawn is light, on a dark screen.
pub fn read(screen: &str) -> String {
    let mut rows = Vec::new();
    for line in screen.lines() {
        let half = |drawn: [char; 2]| line.chars().map(move |block| drawn.contains(&block));
        rows.push(half(['█', '▀']).collect::<Vec<bool>>());
        rows.push(half(['█', '▄']).collect::<Vec<bool>>());
    }
    let (width, height) = (rows[0].len() * SCALE, rows.len() * SCALE);
    let mut image = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let light = rows[y / SCALE].get(x / SCALE).is_some_and(|light| *light);
            image.push(if light { 230 } else { 20 });
        }
    }
    let mut reader = quircs::Quirc::default();
    let code = reader
        .identify(width, height, &image)
        .next()
        .unwrap()
        .unwrap();
    String::from_utf8(code.decode().unwrap().payload).unwrap()
}

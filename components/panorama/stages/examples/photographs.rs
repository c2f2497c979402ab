//! Writes the views of a set as PNG files, for whoever has no overlapping photographs at hand.
//! Arguments: the set's name (`canyon-2`, `wall-6`, ...) and a folder.

use cistern_compose::encode;
use cistern_image::{Raster, Size};
use cistern_panorama_testset::make;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: photographs SET FOLDER".into());
    };
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder)?;
    for (n, view) in make(&name).views.iter().enumerate() {
        let size = Size::new(view.width as u32, view.height as u32)?;
        let image = Raster::<_, 3>::packed(&view.rgb[..], size)?;
        let mut file = vec![0; encode::bound(view.width, view.height, 3)];
        let length = encode::png(&image, &mut file)?;
        std::fs::write(folder.join(format!("{n}.png")), &file[..length])?;
    }
    Ok(())
}

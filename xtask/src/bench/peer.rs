//! The Linux guest that Cistern is measured beside: built once from Debian's packages, unpacked
//! below `target/peer`, nothing installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MODULES: [&str; 8] = [
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "drivers/net/virtio_net",
];
const APPLETS: &str = "sh mount insmod ip ls cat echo sleep poweroff mkdir ps sysctl chmod grep";
const APACHE_MODULES: [&str; 7] = [
    "mpm_event",
    "authz_core",
    "mime",
    "dir",
    "alias",
    "fcgid",
    "unixd",
];
pub const FILE_BYTES: [usize; 4] = [1, 1024, 16384, 65536];

pub struct Peer {
    pub kernel: PathBuf,
    pub ramdisk: PathBuf,
}

/// Builds what is missing. `assets` is the `xtask/peer` folder. Needs `apt-get`, `dpkg`, `cc`.
pub fn prepare(assets: &Path, folder: &Path) -> Result<Peer, String> {
    let peer = Peer {
        kernel: folder.join("vmlinuz"),
        ramdisk: folder.join("initrd"),
    };
    packages(folder)?;
    println!("  peer: packing the RAM disk");
    let script = PACK
        .replace("@MODULES@", &MODULES.join(" "))
        .replace("@APPLETS@", APPLETS)
        .replace("@APACHE@", &APACHE_MODULES.join(" "))
        .replace("@SIZES@", &FILE_BYTES.map(|n| n.to_string()).join(" "));
    shell(&script, &[folder, assets])?;
    Ok(peer)
}

/// A guest that runs one program of ours and nothing else: `name.c` of the assets.
pub fn prepare_program(name: &str, assets: &Path, folder: &Path) -> Result<Peer, String> {
    packages(folder)?;
    shell(&PACK_PROGRAM.replace("@NAME@", name), &[folder, assets])?;
    Ok(Peer {
        kernel: folder.join("vmlinuz"),
        ramdisk: folder.join(format!("initrd-{name}")),
    })
}

/// Downloads and unpacks Debian's packages where that was not done yet.
fn packages(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let sysroot = folder.join("sysroot");
    if !sysroot.join("done").exists() {
        println!("  peer: downloading Debian packages (57 MB, nothing is installed)");
        download(&folder.join("debs"))?;
        unpack(&folder.join("debs"), &sysroot)?;
        fs::write(sysroot.join("done"), "").map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// The counting plugin, compiled with the machine's C compiler.
pub fn plugin(assets: &Path, folder: &Path) -> Result<PathBuf, String> {
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let plugin = folder.join("libcount.so");
    let source = assets.join("count.c");
    run(Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&plugin)
        .arg(&source))?;
    Ok(plugin)
}

fn download(debs: &Path) -> Result<(), String> {
    fs::create_dir_all(debs).map_err(|e| format!("{}: {e}", debs.display()))?;
    let depends = run(Command::new("apt-cache").args(["depends", "linux-image-cloud-amd64"]))?;
    let kernel = depends
        .lines()
        .find_map(|line| {
            line.trim()
                .strip_prefix("Depends: ")
                .filter(|name| name.starts_with("linux-image"))
        })
        .ok_or("apt knows no linux-image-cloud-amd64; run `apt-get update` first")?
        .to_string();
    let plan = run(Command::new("apt-get").args([
        "install",
        "-s",
        "-o",
        "Dir::State::status=/dev/null",
        "--no-install-recommends",
        "apache2-bin",
        "libapache2-mod-fcgid",
        "nginx",
        "libfcgi-dev",
        "libfcgi0ldbl",
        "busybox-static",
    ]))?;
    let mut names: Vec<&str> = plan
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next())
        .filter(|name| {
            name.starts_with("lib")
                || ["zlib1g", "apache2-bin", "nginx", "busybox-static"].contains(name)
        })
        .collect();
    names.push(&kernel);
    run(Command::new("apt-get")
        .args(["download", "-q"])
        .args(names)
        .current_dir(debs))
    .map(drop)
}

fn unpack(debs: &Path, sysroot: &Path) -> Result<(), String> {
    fs::create_dir_all(sysroot).map_err(|e| format!("{}: {e}", sysroot.display()))?;
    for entry in fs::read_dir(debs).map_err(|e| e.to_string())?.flatten() {
        if entry
            .path()
            .extension()
            .is_some_and(|ending| ending == "deb")
        {
            run(Command::new("dpkg")
                .arg("-x")
                .arg(entry.path())
                .arg(sysroot))?;
        }
    }
    Ok(())
}

/// `$1` is the peer's folder, `$2` the assets. Programs bring the libraries that `ldd` names.
const PACK: &str = r#"
set -e
cd "$1"; S=$PWD/sysroot; R=$PWD/root; rm -rf "$R"
mkdir -p "$R"/bin "$R"/sbin "$R"/proc "$R"/sys "$R"/dev "$R"/tmp "$R"/run "$R"/etc "$R"/lib/modules "$R"/www "$R"/fcgi \
    "$R"/var/lib/nginx "$R"/var/log/nginx "$R"/apache/modules "$R"/lib64 "$R"/lib/x86_64-linux-gnu
cp $S/boot/vmlinuz-* vmlinuz
cp $S/bin/busybox "$R"/bin/
for applet in @APPLETS@; do ln -s busybox "$R"/bin/$applet; done
for module in @MODULES@; do cp $S/lib/modules/*/kernel/$module.ko "$R"/lib/modules/; done
cp $S/usr/sbin/apache2 $S/usr/sbin/nginx "$R"/sbin/
for module in @APACHE@; do
    f=$S/usr/lib/apache2/modules/mod_$module.so
    if [ -f $f ]; then cp $f "$R"/apache/modules/; fi
done
cc -O2 -I$S/usr/include -I$S/usr/include/fastcgi -o "$R"/fcgi/page.fcgi "$2"/responder.c $S/usr/lib/x86_64-linux-gnu/libfcgi.a
L=$S/usr/lib/x86_64-linux-gnu:$S/lib/x86_64-linux-gnu
for program in "$R"/sbin/apache2 "$R"/sbin/nginx "$R"/fcgi/page.fcgi "$R"/apache/modules/*.so; do
    LD_LIBRARY_PATH=$L ldd $program 2>/dev/null | awk '/=> \//{print $3} /^\t\/lib64/{print $1}'
done | sort -u | while read f; do
    t=${f#$S}; mkdir -p "$R"$(dirname $t); cp -L $f "$R"$t
done
for f in $S/lib/x86_64-linux-gnu/libgcc_s.so.1 /lib/x86_64-linux-gnu/libgcc_s.so.1; do
    if [ -f $f ]; then cp -L $f "$R"/lib/x86_64-linux-gnu/; break; fi
done
for size in @SIZES@; do head -c $size /dev/zero | tr '\0' x > "$R"/www/f$size.txt; done
cp "$2"/init.sh "$R"/init; chmod 755 "$R"/init "$R"/fcgi/page.fcgi
cp "$2"/httpd.conf "$2"/nginx.conf "$R"/etc/
printf 'root:x:0:0::/:/bin/sh\nwww:x:33:33::/:/bin/sh\n' > "$R"/etc/passwd
printf 'root:x:0:\nwww:x:33:\n' > "$R"/etc/group
echo 'text/plain txt' > "$R"/etc/mime.types
cd "$R"; find . | LC_ALL=C sort | $S/bin/busybox cpio -o -H newc > ../initrd 2>/dev/null
"#;

/// `$1` and `$2` as above.
const PACK_PROGRAM: &str = r#"
set -e
cd "$1"; S=$PWD/sysroot; R=$PWD/root-@NAME@; rm -rf "$R"; mkdir "$R"
cp $S/boot/vmlinuz-* vmlinuz
cc -O2 -static -o "$R"/init "$2"/@NAME@.c
cd "$R"; echo init | $S/bin/busybox cpio -o -H newc > ../initrd-@NAME@ 2>/dev/null
"#;

fn shell(script: &str, arguments: &[&Path]) -> Result<(), String> {
    run(Command::new("sh")
        .args(["-c", script, "peer"])
        .args(arguments))
    .map(drop)
}

/// Standard output, or the last line of what it said against it.
fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|e| format!("{name} did not start: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{name} failed: {}",
        errors.lines().last().unwrap_or("it said nothing")
    ))
}

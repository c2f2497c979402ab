// The panorama page: choosing files, sending them, showing what came back.

const MOST = 12;
const BYTES = 48 * 1024 * 1024;
const at = (id) => document.getElementById(id);
const [form, drop, input, list, go, clear] = ["form", "drop", "files", "chosen", "go", "clear"].map(at);
const [said, progress, bar, result, picture] = ["said", "progress", "bar", "result", "picture"].map(at);

let photos = []; // { file, url }
let request = null;
let pictureUrl = null;

function say(text, bad = false) {
  said.textContent = text;
  said.classList.toggle("bad", bad);
}

const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`);

function show() {
  list.replaceChildren(...photos.map(({ file, url }, n) => {
    const item = document.createElement("li");
    const image = new Image();
    image.src = url;
    image.alt = "";
    const name = document.createElement("span");
    name.textContent = `${file.name}, ${size(file.size)}`;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove ${file.name}`);
    remove.disabled = request !== null;
    remove.addEventListener("click", () => {
      URL.revokeObjectURL(url);
      photos.splice(n, 1);
      show();
    });
    item.append(image, name, remove);
    return item;
  }));
  const bytes = photos.reduce((sum, { file }) => sum + file.size, 0);
  const wrong = photos.length > MOST ? `At most ${MOST} photographs, please.`
    : bytes > BYTES ? "These are more than 48 MiB; smaller files, please." : "";
  go.disabled = request !== null || photos.length < 2 || wrong !== "";
  clear.hidden = photos.length === 0;
  clear.textContent = request ? "Stop" : "Start over";
  if (!request) {
    say(wrong || (photos.length === 1 ? "One more, at least." : ""), wrong !== "");
  }
}

function add(files) {
  if (request) return;
  for (const file of files) {
    if (["image/png", "image/jpeg"].includes(file.type)) photos.push({ file, url: URL.createObjectURL(file) });
  }
  show();
}

input.addEventListener("change", () => { add(input.files); input.value = ""; });
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") add(event.dataTransfer.files);
  });
}

function reset() {
  photos.forEach(({ url }) => URL.revokeObjectURL(url));
  photos = [];
  result.hidden = true;
  show();
}

form.addEventListener("reset", (event) => {
  event.preventDefault();
  if (request) request.abort();
  else reset();
});

// The stages and their milliseconds, as the field Server-Timing tells them.
function timings(field) {
  return (field || "").split(",").map((part) => {
    const [name, duration] = part.trim().split(";dur=");
    return { name, ms: Number(duration) };
  }).filter(({ name, ms }) => name && Number.isFinite(ms));
}

const seconds = (ms) => (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);

function showResult(blob, spent) {
  if (pictureUrl) URL.revokeObjectURL(pictureUrl);
  pictureUrl = URL.createObjectURL(blob);
  picture.src = pictureUrl;
  at("save").href = pictureUrl;
  const stages = spent.filter(({ name }) => name !== "all");
  const all = stages.reduce((sum, { ms }) => sum + ms, 0);
  at("stages").replaceChildren(...stages.map(({ name, ms }) => {
    const item = document.createElement("li");
    const label = document.createElement("span");
    label.textContent = name;
    const meter = document.createElement("meter");
    meter.max = Math.max(all, 1);
    meter.value = ms;
    const number = document.createElement("span");
    number.className = "n";
    number.textContent = seconds(ms);
    item.append(label, meter, number);
    return item;
  }));
  picture.onload = () => {
    at("facts").textContent = `${picture.naturalWidth} × ${picture.naturalHeight} pixels, ${size(blob.size)}, made in ${seconds(all)}.`;
    result.hidden = false;
    result.scrollIntoView({ behavior: "smooth", block: "nearest" });
  };
}

function finish(text, bad) {
  request = null;
  progress.hidden = true;
  show();
  say(text, bad);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (request) return;
  const body = new FormData();
  photos.forEach(({ file }) => body.append("photo", file));
  result.hidden = true;
  request = new XMLHttpRequest();
  request.open("POST", "/stitch");
  request.responseType = "blob";
  request.upload.addEventListener("progress", ({ loaded, total }) => {
    bar.value = loaded / total;
    say(`Sending, ${size(loaded)} of ${size(total)}`);
  });
  request.upload.addEventListener("load", () => {
    bar.removeAttribute("value");
    const start = performance.now();
    const { upload: sent } = request;
    const tick = setInterval(() => {
      if (!request || request.upload !== sent) clearInterval(tick);
      else say(`Stitching, ${Math.round((performance.now() - start) / 1000)} s`);
    }, 250);
    say("Stitching");
  });
  request.addEventListener("load", async () => {
    const { status, response } = request;
    const spent = timings(request.getResponseHeader("Server-Timing"));
    if (status === 200) {
      finish("", false);
      showResult(response, spent);
    } else {
      finish((await response.text()).trim() || `The server answered ${status}.`, true);
    }
  });
  request.addEventListener("error", () => finish("The connection broke. Try again in a moment.", true));
  request.addEventListener("abort", () => finish("Stopped.", false));
  request.send(body);
  progress.hidden = false;
  bar.value = 0;
  show();
  say("Sending");
});

show();

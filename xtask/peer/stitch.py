"""OpenCV's stitcher on sets with known truth, as `cistern-panorama-testset` writes them.

Arguments: the folder of the sets, how many rounds. Prints one JSON object a set: the processor time of the
fastest round in milliseconds, how many photographs are in the panorama, and the mean distance of
corners from the truth in pixels, in the frame of that photograph for which it is least.
"""

import json
import pathlib
import sys
import time

import cv2
import numpy as np


def homographies(stitcher, indices, views):
    """From each photograph's pixels to directions, from directions to its pixels."""
    scale = stitcher.workScale()
    # Pixel centres: half a pixel is half a pixel of either size.
    shrink = np.array([[scale, 0, scale / 2 - 0.5], [0, scale, scale / 2 - 0.5], [0, 0, 1.0]])
    out = {}
    for index, camera in zip(indices, stitcher.cameras()):
        k = camera.K().astype(np.float64)
        r = camera.R.astype(np.float64)
        out[index] = r @ np.linalg.inv(k) @ shrink
    return out


def corner_error(directions, views):
    """The least over all anchors of the mean over all other photographs' corners."""
    best = None
    for anchor in directions:
        distances = []
        back = np.linalg.inv(directions[anchor])
        truth_back = np.linalg.inv(np.array(views[anchor]["to_original"]).reshape(3, 3))
        for index in directions:
            if index == anchor:
                continue
            view = views[index]
            right, bottom = view["width"] - 1, view["height"] - 1
            corners = np.array([[0, right, 0, right], [0, 0, bottom, bottom], [1, 1, 1, 1.0]])
            found = back @ directions[index] @ corners
            truth = truth_back @ np.array(view["to_original"]).reshape(3, 3) @ corners
            difference = found[:2] / found[2] - truth[:2] / truth[2]
            distances.extend(np.hypot(*difference))
        if distances:
            mean = float(np.mean(distances))
            best = mean if best is None else min(best, mean)
    return best


def measure(folder, rounds):
    views = json.loads((folder / "truth.json").read_text())
    photographs = [cv2.imread(str(folder / f"{i}.ppm")) for i in range(len(views))]
    fastest, error, used = None, None, 0
    for _ in range(rounds):
        stitcher = cv2.Stitcher.create(cv2.Stitcher_PANORAMA)
        begin = time.process_time()
        status = stitcher.estimateTransform(photographs)
        if status == cv2.Stitcher_OK:
            status, _ = stitcher.composePanorama()
        took = (time.process_time() - begin) * 1000
        fastest = took if fastest is None else min(fastest, took)
        if status == cv2.Stitcher_OK:
            indices = [int(i) for i in np.ravel(stitcher.component())]
            used = len(indices)
            error = corner_error(homographies(stitcher, indices, views), views)
    return {"name": folder.name, "milliseconds": fastest, "used": used, "corner_error": error}


def main():
    cv2.setNumThreads(1)
    folder, rounds = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    for name in sys.argv[3:]:
        print(json.dumps(measure(folder / name, rounds)), flush=True)


main()

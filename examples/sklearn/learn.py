"""Learns handwritten digits from /in/training and leaves a model in /out/model."""

import glob
import json
import pickle

import numpy
from sklearn.svm import SVC

rows = numpy.vstack([numpy.loadtxt(name, delimiter=",") for name in sorted(glob.glob("/in/training/*.csv"))])
model = SVC(gamma=0.001, C=10).fit(rows[:, :-1], rows[:, -1])
with open("/out/model/model.pickle", "wb") as f:
    pickle.dump(model, f)
print(json.dumps({"pictures": len(rows), "support_vectors": int(model.n_support_.sum())}))

"""Lets the model in /in/model guess the digits in /in/test and leaves its score in /out/report."""

import glob
import json
import pickle

import numpy
from sklearn.metrics import accuracy_score, confusion_matrix

with open("/in/model/model.pickle", "rb") as f:
    model = pickle.load(f)
rows = numpy.vstack([numpy.loadtxt(name, delimiter=",") for name in sorted(glob.glob("/in/test/*.csv"))])
guesses = model.predict(rows[:, :-1])
accuracy = accuracy_score(rows[:, -1], guesses)
with open("/out/report/report.json", "w") as f:
    json.dump({"accuracy": accuracy, "samples": len(rows), "confusion": confusion_matrix(rows[:, -1], guesses).tolist()}, f)
print(f"accuracy: {100 * accuracy:.2f} % of {len(rows)} pictures")

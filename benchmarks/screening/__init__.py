"""Which settings of fine-tuning are worth having: held-out training photographs of several data sets choose.

    PYTHONPATH=benchmarks python -m screening pack FOLDER ... --out packed.pt
    PYTHONPATH=benchmarks python -m screening run packed.pt --out rows.jsonl [--processes 1] [--only NAME ...]
    PYTHONPATH=benchmarks python -m screening table rows.jsonl

`pack` squashes the training photographs to one size, so that they fit in memory and travel; test photographs are never
read. `run` adds a line to the rows for each setting, data set and fold, and leaves out those that are there already.
"""

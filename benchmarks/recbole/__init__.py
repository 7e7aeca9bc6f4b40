"""Reference recommenders of RecBole, each computed in a process of an environment of its own.

    models       which models, with which settings, and what each may know
    install      makes the environment (RecBole needs numpy 1 and so cannot live in ours)
    driver       runs in that environment: reads the split, fits a model, writes its scores
    exchange     what the two processes hand to each other, and what can go wrong there
    rows         turns scores into counts and records

Nothing here imports recbole but the driver, and nothing imports the driver.
"""

from hypothesis import settings

# A machine that is busy with other things is no fault of the code.
settings.register_profile("celers", deadline=None)
settings.load_profile("celers")
